/** What can go wrong for a program that uses the client, in the server's words or these. It must not know sockets. */
import type { Failure, Json } from "./event.ts";
import { CLOSE_SENTENCES } from "./wire-shapes.ts";

/** `refused`: the server said no. `unsent`: safe to send again. `unknown`: it may have happened or not. */
export type ErrorKind = "refused" | "unsent" | "unknown" | "ended";

/** Every error of this client. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly kind: ErrorKind;
  readonly code: string;
  readonly requiredAction: string;
  readonly willNot: string;
  /** The same request may succeed later. */
  readonly temporary: boolean;
  readonly retryAfterMs: number | null;
  /** What a program needs to go on, such as the present value of what conflicts; null if there is nothing. */
  readonly details: Json;

  constructor(kind: ErrorKind, failure: Failure) {
    super(failure.message);
    this.kind = kind;
    this.code = failure.code;
    this.requiredAction = failure.requiredAction;
    this.willNot = failure.willNot;
    this.temporary = failure.temporary;
    this.retryAfterMs = failure.retryAfterMs;
    this.details = failure.details ?? null;
  }
}

const SENTENCES: Readonly<Record<string, readonly [ErrorKind, string, string, string]>> = {
  queue_full: [
    "unsent",
    "The queue of messages that wait to be sent is full.",
    "Send more slowly, or wait until the connection is back.",
    "The client will not drop an older message for this one, and will not send this one.",
  ],
  too_large: [
    "unsent",
    "The message is larger than the server takes.",
    "Send less at once.",
    "The client will not send it: the server would close the connection.",
  ],
  bad_request: [
    "unsent",
    "The message cannot be written as JSON, or is nested too deeply.",
    "Send plain JSON of at most 16 levels.",
    "The client will not send anything else instead.",
  ],
  outcome_unknown: [
    "unknown",
    "The message was sent, but the connection ended or was silent before the answer came.",
    "Find out whether it took effect before you send it again.",
    "The client will not send it a second time by itself.",
  ],
  client_closed: [
    "ended",
    "The client was closed by the program.",
    "Make a new client.",
    "The client will not send or receive anything more.",
  ],
  other_user: [
    "ended",
    "The connection would have been another user's.",
    "Make a new client for that user, or log in as the one before.",
    "The client will not send what it holds in another user's name.",
  ],
  already_subscribed: [
    "unsent",
    "This client is in that room already.",
    "Use the room that you have; one client has one place in each room.",
    "The client will not enter a room twice.",
  ],
};

/** A failure of the client's own: its sentences are in the table. */
export function local(code: string): Failure {
  return { code, message: "", requiredAction: "", willNot: "", temporary: false, retryAfterMs: null };
}

/** The error for a failure: the server's own words, the client's, or those of a close code. */
export function errorOf(failure: Failure): ClientError {
  if (failure.message !== "") return new ClientError("refused", failure);
  const known = SENTENCES[failure.code];
  if (known === undefined) return ended(failure.code);
  const [kind, message, requiredAction, willNot] = known;
  return new ClientError(kind, { ...failure, message, requiredAction, willNot, temporary: kind === "unsent" });
}

/** The error for a connection that has ended for good; `reason` is the name of its close code. */
export function ended(reason: string | null): ClientError {
  if (reason === "client_closed") return errorOf(local(reason));
  const code = reason ?? "closed";
  const [message, requiredAction] = CLOSE_SENTENCES[code] ?? [
    `The connection was refused or closed for good (${code}).`,
    "Look into the server's log, mend the cause, make a new client.",
  ];
  const willNot = "The client will not connect again by itself.";
  return new ClientError("ended", { ...local(code), message, requiredAction, willNot });
}
