/**
 * One's own edits of a quote on their way: typed, waiting, sent, in doubt, in conflict. Pure.
 * Nothing is resolved silently: an edit of a field that somebody else has changed meanwhile becomes a conflict, which
 * only the person ends; one of an untouched field is sent, also after a reconnect. An edit whose outcome is unknown is
 * sent again with the same name, which the server does once. It must not know sockets or the DOM.
 * Source: docs/quotes.md, "Editing".
 */
import type { Json } from "../client/index";
import { fieldOf } from "./quote";
import { type FieldState, type QuoteDocument, same } from "./quote-wire";

/**
 * queued -> sent -> stored | conflict | refused | doubt; doubt -> sent with the same name; stored -> gone as soon as the
 * room has shown it; conflict -> gone (theirs) or queued with a new name (mine). A queued edit becomes a conflict when its
 * field is changed by somebody else.
 */
export type Phase = "queued" | "sent" | "doubt" | "stored" | "conflict" | "refused";

export interface Edit {
  /** The client's own name for it; a second attempt keeps it, another edit never has it. */
  readonly opId: string;
  readonly field: string;
  readonly value: Json;
  /** The field's revision that the person saw. */
  readonly base: number;
  readonly phase: Phase;
  /** What the person has entered in the meantime; undefined if nothing. It follows when this one is done. */
  readonly next: Json | undefined;
  /** The name that `next` will have. */
  readonly nextOpId: string;
  /** Stored: the revision that it has made. */
  readonly revision: number;
  /** In conflict: what somebody else has written. */
  readonly theirs: FieldState | null;
  /** Refused: why, in the server's words. */
  readonly reason: string;
  /** Not to be sent before this, Unix milliseconds. */
  readonly notBefore: number;
  readonly attempts: number;
}

/** What stands in a field and has not been committed, and the revision that was there when typing began. */
export interface Draft {
  readonly base: number;
  readonly before: Json;
}

/** By field: at most one edit, and at most one draft. */
export interface Edits {
  readonly edits: ReadonlyMap<string, Edit>;
  readonly drafts: ReadonlyMap<string, Draft>;
}

export const NO_EDITS: Edits = { edits: new Map(), drafts: new Map() };

/** What cannot be changed any more, only followed by another. */
const UNDER_WAY: ReadonlySet<Phase> = new Set(["sent", "doubt", "stored"]);
const WAITING: ReadonlySet<Phase> = new Set(["queued", "sent", "doubt"]);
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** The value that a field's own author should see: the newest they entered, else what is stored. */
export function shownValue(edits: Edits, quote: QuoteDocument | null, field: string): Json {
  const edit = edits.edits.get(field);
  if (edit === undefined) return fieldOf(quote, field).value;
  return edit.next === undefined ? edit.value : edit.next;
}

/** The person begins to type in a field. */
export function begin(edits: Edits, quote: QuoteDocument | null, field: string): Edits {
  if (edits.drafts.has(field)) return edits;
  const { revision, value } = fieldOf(quote, field);
  return { ...edits, drafts: new Map(edits.drafts).set(field, { base: revision, before: value }) };
}

/** The person gives up what they typed. */
export function abandon(edits: Edits, field: string): Edits {
  return { ...edits, drafts: without(edits.drafts, field) };
}

/** The person has entered a value; it is based on what they saw when they began. */
export function commit(edits: Edits, quote: QuoteDocument | null, field: string, value: Json, opId: string): Edits {
  const draft = edits.drafts.get(field);
  const left = abandon(edits, field);
  const present = left.edits.get(field);
  if (present !== undefined && UNDER_WAY.has(present.phase)) {
    return put(left, { ...present, next: value, nextOpId: opId });
  }
  if (present?.phase === "queued" || present?.phase === "conflict")
    return settle(put(left, { ...present, value }), quote);
  const base = draft?.base ?? fieldOf(quote, field).revision;
  // What the person saw is what they want: nothing to say, whatever others do meanwhile.
  if (present === undefined && same(value, draft?.before ?? fieldOf(quote, field).value)) return left;
  return settle(put(left, fresh(opId, field, value, base)), quote);
}

/** The edits that may be sent now. */
export function due(edits: Edits, nowMs: number): Edit[] {
  return [...edits.edits.values()].filter(
    (edit) => (edit.phase === "queued" || edit.phase === "doubt") && edit.notBefore <= nowMs,
  );
}

/** When `due` will have something that it has not now; null if only events change that. */
export function dueAt(edits: Edits): number | null {
  const waiting = [...edits.edits.values()].filter((edit) => edit.phase === "queued" || edit.phase === "doubt");
  return waiting.length === 0 ? null : Math.min(...waiting.map((edit) => edit.notBefore));
}

/** How many edits have not been stored yet, as far as is known. */
export function waitingCount(edits: Edits): number {
  return [...edits.edits.values()].filter((edit) => WAITING.has(edit.phase) || edit.next !== undefined).length;
}

export function conflicts(edits: Edits): Edit[] {
  return [...edits.edits.values()].filter((edit) => edit.phase === "conflict");
}

export function sent(edits: Edits, opId: string): Edits {
  return change(edits, opId, (edit) => ({ ...edit, phase: "sent" }));
}

/** The server has stored it, or had before. It stands in its field until the room has shown it. */
export function done(edits: Edits, quote: QuoteDocument | null, opId: string, revision: number): Edits {
  return settle(
    change(edits, opId, (edit) => ({ ...edit, phase: "stored", revision })),
    quote,
  );
}

/** Whether it was stored is unknown, or it could not be for now: the same again, later each time. */
export function doubt(edits: Edits, opId: string, nowMs: number, afterMs: number | null): Edits {
  return change(edits, opId, (edit) => {
    const wait = afterMs ?? Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** edit.attempts);
    return { ...edit, phase: "doubt", notBefore: nowMs + wait, attempts: edit.attempts + 1 };
  });
}

/** The connection is gone: what was sent is in doubt, and goes at once when it is back. */
export function cutEdits(edits: Edits): Edits {
  const next = new Map<string, Edit>();
  for (const [field, edit] of edits.edits) {
    next.set(field, edit.phase === "sent" ? { ...edit, phase: "doubt", notBefore: 0 } : edit);
  }
  return { ...edits, edits: next };
}

/** It never left this page. */
export function unsent(edits: Edits, opId: string): Edits {
  return change(edits, opId, (edit) => ({ ...edit, phase: "queued" }));
}

/** Somebody was quicker; `theirs` is what they wrote. The newest that the person entered is what stands against it. */
export function conflicted(edits: Edits, opId: string, theirs: FieldState): Edits {
  return change(edits, opId, (edit) => inConflict(edit, theirs));
}

/** The server will not have it. */
export function refused(edits: Edits, opId: string, reason: string): Edits {
  return change(edits, opId, (edit) => ({ ...edit, value: newest(edit), next: undefined, phase: "refused", reason }));
}

/** The person drops their own value: what somebody else wrote stays, or what was there before. */
export function takeTheirs(edits: Edits, field: string): Edits {
  return { edits: without(edits.edits, field), drafts: without(edits.drafts, field) };
}

/** The person puts their value over what somebody else wrote and they have seen: a new edit. */
export function putMine(edits: Edits, field: string, opId: string): Edits {
  const edit = edits.edits.get(field);
  if (edit?.phase !== "conflict" || edit.theirs === null) return edits;
  return put(edits, fresh(opId, field, edit.value, edit.theirs.revision));
}

/** Compares with what is stored now: stored edits are over, waiting ones on fields of another revision are conflicts. */
export function settle(edits: Edits, quote: QuoteDocument | null): Edits {
  if (quote === null) return edits;
  let next = edits;
  for (const edit of edits.edits.values()) {
    const present = fieldOf(quote, edit.field);
    if (edit.phase === "stored" && present.revision >= edit.revision) next = settle(followed(next, edit), quote);
    else if (edit.phase === "queued" && edit.base !== present.revision) {
      // Somebody wrote the very same: there is nothing to decide.
      next = same(edit.value, present.value) ? takeTheirs(next, edit.field) : put(next, inConflict(edit, present));
    } else if (edit.phase === "conflict" && edit.theirs !== null && present.revision > edit.theirs.revision) {
      next = put(next, { ...edit, theirs: present });
    }
  }
  return next;
}

/** A stored edit makes place for what was entered since, which is based on it. */
function followed(edits: Edits, edit: Edit): Edits {
  const left = { edits: without(edits.edits, edit.field), drafts: rebased(edits, edit, edit.revision) };
  if (edit.next === undefined || same(edit.next, edit.value)) return left;
  return put(left, fresh(edit.nextOpId, edit.field, edit.next, edit.revision));
}

function inConflict(edit: Edit, theirs: FieldState): Edit {
  return { ...edit, value: newest(edit), next: undefined, phase: "conflict", theirs };
}

function newest(edit: Edit): Json {
  return edit.next === undefined ? edit.value : edit.next;
}

/** Typing that began before one's own edit was stored goes on upon it: nobody else was between. */
function rebased(edits: Edits, edit: Edit, revision: number): ReadonlyMap<string, Draft> {
  const draft = edits.drafts.get(edit.field);
  if (draft === undefined || draft.base !== edit.base) return edits.drafts;
  return new Map(edits.drafts).set(edit.field, { base: revision, before: edit.value });
}

function fresh(opId: string, field: string, value: Json, base: number): Edit {
  const rest = {
    next: undefined,
    nextOpId: "",
    revision: 0,
    theirs: null,
    reason: "",
    notBefore: 0,
    attempts: 0,
  } as const;
  return { opId, field, value, base, phase: "queued", ...rest };
}

function find(edits: Edits, opId: string): Edit | undefined {
  return [...edits.edits.values()].find((edit) => edit.opId === opId);
}

function change(edits: Edits, opId: string, how: (edit: Edit) => Edit): Edits {
  const edit = find(edits, opId);
  return edit === undefined ? edits : put(edits, how(edit));
}

function put(edits: Edits, edit: Edit): Edits {
  return { ...edits, edits: new Map(edits.edits).set(edit.field, edit) };
}

function without<V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> {
  const next = new Map(map);
  next.delete(key);
  return next;
}
