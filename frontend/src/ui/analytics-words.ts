/** Figures and names of analytics in the reader's language. It must not know the page. */
import { clock, count, exact, language, milliseconds, money, NONE, span, t, word } from "./text";
import type { Cell, Kind } from "../state/analytics-tables";
import type { Happening } from "../state/analytics";

const percent = new Intl.NumberFormat(language, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const CURRENCY = /_([A-Z]{3})$/;

/** A figure's name; one of money has its currency behind it. */
export function nameOf(figure: string): string {
  const currency = CURRENCY.exec(figure)?.[1];
  const own = word("analytics.figure", figure.replace(CURRENCY, ""));
  return currency === undefined ? own : `${own} (${currency})`;
}

export function valueOf(cell: Cell): string {
  const { name, kind, value } = cell;
  if (value === undefined) return t("analytics.withheld");
  if (value === null) return NONE;
  if (kind === "money") return money(String(value), CURRENCY.exec(name)?.[1] ?? "USD");
  return numberOf(kind)(Number(value));
}

/** How a number of a kind is written. */
export function numberOf(kind: Kind): (value: number | null) => string {
  if (kind === "ms") return milliseconds;
  if (kind === "span") return span;
  if (kind === "share") return (value) => (value === null ? NONE : percent.format(value));
  return count;
}

/** What a row is called: its code, a word for it, or a time. */
export function rowName(table: string, key: string | number): string {
  if (typeof key === "number") return `${clock(key).slice(0, 5)} · ${day(key)}`;
  const own = word(`analytics.row.${table}`, key);
  return own === key && table === "statuses" ? word("quote.status", key) : own;
}

/** Date alone, out of the exact time. */
function day(unixS: number): string {
  return exact(unixS).split(/,? \d{1,2}:/)[0] ?? "";
}

/** One line about something that has happened. */
export function happeningWords({ event, data, state, node }: Happening): string {
  const took = typeof data["took_ms"] === "number" ? milliseconds(data["took_ms"]) : NONE;
  const after = typeof data["took_s"] === "number" ? span(data["took_s"]) : NONE;
  const text = (name: string): string => String(data[name] ?? "");
  if (event === "quote_created") return t("analytics.event.quote_created", { state });
  if (event === "quote_converted") return t("analytics.event.quote_converted", { state, span: after });
  if (event === "api_response") {
    return t("analytics.event.api_response", {
      method: text("method"),
      route: text("route"),
      status: text("status"),
      took,
      node,
    });
  }
  if (event === "calculation_complete") {
    return t("analytics.event.calculation_complete", {
      outcome: word("analytics.row.outcomes", `calculations_${text("outcome")}`),
      took,
      node,
    });
  }
  return event;
}
