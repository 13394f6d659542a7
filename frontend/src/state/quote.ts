/**
 * One quote as its page knows it: the state, the changes after it in the order of their versions, who is in which field,
 * how far a calculation is. Pure; it must not know sockets, clocks or one's own edits (see quote-edits).
 * The state with every change after it is every later state; a hole is kept open until what is missing has come.
 * Source: docs/quotes.md, "Following a quote over the socket".
 */
import type { Json } from "../client/index";
import {
  type Editor,
  type FieldState,
  type Head,
  isObject,
  type Premium,
  type Progress,
  type QuoteDocument,
  type QuoteMessage,
  STATUSES,
  type Status,
  type Update,
} from "./quote-wire";

/** A hole that stays this long is not another node's delay any more. */
export const HOLE_MS = 2_000;
/** More than anybody types in the time that a state takes; beyond it the state is asked for anew. */
const MAX_HELD = 2_000;

export interface QuoteModel {
  /** Null before the first state. */
  readonly quote: QuoteDocument | null;
  /** Changes that cannot be applied yet, by version. */
  readonly held: ReadonlyMap<number, Update>;
  /** Since when a change is missing, Unix milliseconds; null while none is. */
  readonly holeSince: number | null;
  /** Who is in which field, by connection. */
  readonly editors: ReadonlyMap<string, Editor>;
  readonly progress: Progress | null;
}

export const NO_QUOTE: QuoteModel = {
  quote: null,
  held: new Map(),
  holeSince: null,
  editors: new Map(),
  progress: null,
};

const NEVER: FieldState = { value: null, revision: 0, by: null, at: null };

/** A field as it is; one that the state does not name was never set. */
export function fieldOf(quote: QuoteDocument | null, field: string): FieldState {
  return quote?.fields[field] ?? NEVER;
}

/** Applies a message of the room. */
export function receive(model: QuoteModel, message: QuoteMessage, nowMs: number): QuoteModel {
  switch (message.type) {
    case "state":
      return restart(model, message.document, message.editors, nowMs);
    case "update":
      return hold(model, message.update, nowMs);
    case "focus":
      return { ...model, editors: focus(model.editors, message.editor) };
    case "progress":
      return isNewer(model.progress, message.progress) ? { ...model, progress: message.progress } : model;
  }
}

/** Whether the state must be asked for again: a change has been missing for too long, or too many wait. */
export function mustReload(model: QuoteModel, nowMs: number): boolean {
  if (model.quote === null) return false;
  return model.held.size > MAX_HELD || (model.holeSince !== null && nowMs - model.holeSince >= HOLE_MS);
}

/** The connection is gone: nobody is known to be anywhere, and what is missing comes with the reconnect. */
export function cut(model: QuoteModel): QuoteModel {
  return { ...model, editors: new Map(), holeSince: null };
}

/** The person has read how the calculation ended. */
export function forgetProgress(model: QuoteModel): QuoteModel {
  return { ...model, progress: null };
}

function restart(model: QuoteModel, quote: QuoteDocument, editors: readonly Editor[], nowMs: number): QuoteModel {
  const later = new Map([...model.held].filter(([version]) => version > quote.version));
  const here = new Map(editors.filter((one) => one.field !== null).map((one) => [one.connectionId, one]));
  return advance({ ...model, quote, held: later, holeSince: null, editors: here }, nowMs);
}

function hold(model: QuoteModel, update: Update, nowMs: number): QuoteModel {
  if (model.quote !== null && update.version <= model.quote.version) return model;
  return advance({ ...model, held: new Map(model.held).set(update.version, update) }, nowMs);
}

/** Applies what has become the next version, and notes whether a hole is left. */
function advance(model: QuoteModel, nowMs: number): QuoteModel {
  let { quote } = model;
  if (quote === null) return model;
  const held = new Map(model.held);
  for (let next = held.get(quote.version + 1); next !== undefined; next = held.get(quote.version + 1)) {
    held.delete(next.version);
    quote = applied(quote, next);
  }
  // A hole that was there before keeps its age, unless something has filled it.
  const moved = quote.version !== model.quote?.version;
  const holeSince = held.size === 0 ? null : moved ? nowMs : (model.holeSince ?? nowMs);
  return { ...model, quote, held, holeSince };
}

function applied(quote: QuoteDocument, update: Update): QuoteDocument {
  const { version } = update;
  if (update.kind === "field") {
    const head = touched(quote.quote, update.state.at ?? quote.quote.updated_at);
    return { ...quote, version, quote: head, fields: { ...quote.fields, [update.field]: update.state } };
  }
  const head = { ...quote.quote, updated_at: update.at };
  if (update.kind === "premium") return { ...quote, version, quote: withPremium(head, update.data) };
  const status = statusOf(update.data) ?? head.status;
  const editable = quote.editable && (status === "draft" || status === "quoted");
  return {
    ...quote,
    version,
    editable,
    quote: { ...head, status, expires_at: expiryOf(update.data, head.expires_at) },
  };
}

/** A draft lives for a fixed time after its last change, so that its end moves with it. */
function touched(head: Head, at: number): Head {
  const moves = head.status === "draft" && head.expires_at !== null;
  const expires_at = moves ? (head.expires_at ?? 0) + (at - head.updated_at) : head.expires_at;
  return { ...head, updated_at: at, expires_at };
}

function withPremium(head: Head, data: Json): Head {
  // Withheld: somebody who may not see premiums has none to replace.
  if (!isObject(data) || data["withheld"] === true) return head;
  return { ...head, premium: (data["premium"] ?? null) as unknown as Premium | null };
}

function statusOf(data: Json): Status | null {
  const said = isObject(data) ? data["status"] : null;
  return STATUSES.find((status) => status === said) ?? null;
}

function expiryOf(data: Json, before: number | null): number | null {
  const said = isObject(data) ? data["expires_at"] : undefined;
  return typeof said === "number" ? said : said === null ? null : before;
}

function focus(editors: ReadonlyMap<string, Editor>, editor: Editor): ReadonlyMap<string, Editor> {
  const next = new Map(editors);
  if (editor.field === null) next.delete(editor.connectionId);
  else next.set(editor.connectionId, editor);
  return next;
}

/** Stages have no place in the room: one that comes late, or of an older calculation, is out of date. */
function isNewer(before: Progress | null, said: Progress): boolean {
  if (before === null || said.serial > before.serial) return true;
  if (said.serial < before.serial || before.ended) return false;
  return said.ended || said.percent >= before.percent;
}
