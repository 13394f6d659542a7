/**
 * What an alert has found, in the reader's language: the server's own sentence in English, otherwise put together from
 * what it says of it. It must not know where the words are shown.
 */
import type { AlertRow, FigureSaid } from "../socket/alerts-api";
import { inEnglish } from "./error-words";
import { knownWords } from "./server-words";
import { language } from "./text";

export type Found = Pick<AlertRow, "name" | "group" | "message" | "value" | "threshold" | "compare" | "said"> &
  Pick<AlertRow, "member_count">;

/** Without the name that stands before it anyway. */
export function messageOf(alert: Found, reader = language): string {
  const own = alert.said === null ? null : knownWords("alert", alert.said.code, namedBy(alert, reader), reader);
  return own ?? inEnglish(bare(alert), reader);
}

function bare({ name, group, message }: Found): string {
  const prefixes = [`${name}${group === "" ? "" : ` (${group})`}: `, `${name}: `];
  return message.slice((prefixes.find((one) => message.startsWith(one)) ?? "").length);
}

function namedBy(alert: Found, reader: string): Record<string, string> {
  const say = (code: string, named: Record<string, string>): string => knownWords("alert", code, named, reader) ?? "";
  const [first, over] = (alert.said?.figures ?? []).map((one) => figureWords(one, say));
  const seconds = alert.said?.for_s ?? 0;
  return {
    figure: over === undefined ? (first ?? "") : say("divided", { figure: first ?? "", over }),
    value: number(alert.value, reader),
    threshold: number(alert.threshold, reader),
    compare: alert.compare,
    seconds: number(seconds, reader),
    where: alert.member_count > 1 ? say("where", { count: number(alert.member_count, reader) }) : "",
    lasting: seconds > 0 ? say("lasting", { seconds: number(seconds, reader) }) : "",
  };
}

function figureWords(
  { metric, read, window_s }: FigureSaid,
  say: (code: string, named: Record<string, string>) => string,
): string {
  return say(read, { metric, window: String(window_s) }) || metric;
}

/** As the server writes numbers: whole ones in full, others with four digits. */
function number(value: number | null, reader: string): string {
  if (value === null) return "";
  const options = Number.isInteger(value) ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  return new Intl.NumberFormat(reader, options).format(value);
}
