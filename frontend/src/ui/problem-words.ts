/**
 * A refusal in the reader's language: whole, or its first sentence apart from the rest, for a title. It must not know
 * any page.
 */
import type { ClientError } from "../client/index";
import type { ErrorObject } from "../socket/wire";
import type { Refusal } from "../state/watch-list";
import { errorWords, type Said } from "./error-words";
import { language } from "./text";

/** What happened, what to do and what will not be done. `silent` is said where there was no answer at all. */
export function problemWords(problem: ErrorObject, silent = "", reader = language): string {
  return isSilence(problem, silent) ? silent : errorWords(saidBy(problem), reader);
}

/** What happened. */
export function problemTitle(problem: ErrorObject, silent = "", reader = language): string {
  return isSilence(problem, silent) ? silent : errorWords(saidBy(problem), reader, "first");
}

/** What to do, and what will not be done. */
export function problemRest(problem: ErrorObject, reader = language): string {
  return errorWords(saidBy(problem), reader, "rest");
}

/** What the client of the hub was refused, as the operators' API would say it. */
export function refusedBy(error: ClientError): ErrorObject {
  const { code, message, requiredAction, willNot, details } = error;
  return { code, message, required_action: requiredAction, will_not: willNot, details };
}

/** Why a symbol's room is not entered. */
export function refusalWords(refusal: Refusal | null): string {
  return refusal === null ? "" : errorWords({ code: refusal.code, sentences: [refusal.message] });
}

function isSilence(problem: ErrorObject, silent: string): boolean {
  return silent !== "" && problem.code === "no_answer";
}

function saidBy({ code, message, required_action, will_not, details }: ErrorObject): Said {
  return { code, sentences: [message, required_action, will_not], details };
}
