/** What went wrong, in sentences: the server's own, or ours if it could not be asked. It must not know any page. */
import type { ApiError } from "../socket/quotes-api";
import { errorWords, reasonWords } from "./error-words";
import { t } from "./text";

export function failureWords(error: ApiError): string {
  if (error.code === "unreachable") return t("quote.failed.unreachable");
  const words = errorWords({ code: error.code, sentences: [error.message, error.action, error.willNot] });
  const said = words === "" ? [] : [words];
  for (const [field, reason] of error.fields) said.push(`${field}: ${reasonWords(reason)}`);
  if (said.length === 0) said.push(t("quote.failed.code", { code: error.code }));
  if (error.correlationId !== "") said.push(t("quote.failed.id", { id: error.correlationId }));
  return said.join(" ");
}
