/**
 * One's own edits of a quote as they outlive the page in the browser's session storage, so that a reload loses nothing.
 * Pure; it must not know the storage. What is read there may be of another version of this page, or of somebody else who
 * used the same tab: what does not fit is not taken. Every edit keeps its name, so that one that was stored already is
 * not done twice; one that was sent is in doubt.
 */
import type { Json } from "../client/index";
import { type Edit, type Edits, NO_EDITS, type Phase } from "./quote-edits";
import { type FieldState, isObject } from "./quote-wire";

/** What the person would lose; stored edits are in the quote. */
const PHASES: ReadonlySet<string> = new Set<Phase>(["queued", "sent", "doubt", "conflict", "refused"]);

/** Returns what to keep, or null if there is nothing. */
export function keep(edits: Edits, username: string): string | null {
  const kept = [...edits.edits.values()].filter((edit) => PHASES.has(edit.phase) || edit.next !== undefined);
  return kept.length === 0 ? null : JSON.stringify({ username, edits: kept });
}

/** Returns what was kept for this person. */
export function revive(kept: string | null, username: string): Edits {
  const said = parse(kept);
  if (!isObject(said) || said["username"] !== username || !Array.isArray(said["edits"])) return NO_EDITS;
  const edits = said["edits"].map(readEdit).filter((edit) => edit !== null);
  return { ...NO_EDITS, edits: new Map(edits.map((edit) => [edit.field, edit])) };
}

function parse(text: string | null): Json {
  if (text === null) return null;
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function readEdit(said: Json): Edit | null {
  if (!isObject(said)) return null;
  const { opId, field, value, base, phase, next, nextOpId, revision, theirs, reason } = said;
  if (typeof opId !== "string" || typeof field !== "string" || value === undefined) return null;
  if (typeof base !== "number" || typeof phase !== "string" || typeof nextOpId !== "string") return null;
  if (typeof revision !== "number" || typeof reason !== "string") return null;
  const present = isObject(theirs ?? null) ? (theirs as unknown as FieldState) : null;
  if (!PHASES.has(phase) && phase !== "stored") return null;
  if (phase === "conflict" && present === null) return null;
  const edit = { opId, field, value, base, next, nextOpId, revision, theirs: present, reason };
  return { ...edit, phase: phase === "sent" ? "doubt" : (phase as Phase), notBefore: 0, attempts: 0 };
}
