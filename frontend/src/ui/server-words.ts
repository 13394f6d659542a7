/**
 * What the server says beside errors, in the reader's language: reasons of checks and of changes, lines of a premium. As
 * with errors (error-words.ts) English is the server's own sentence; for other languages there is a table by code
 * (src/tidewire/web/locales/said), whose places are filled with what the server names. It must not know any page.
 */
import de from "../../../src/tidewire/web/locales/said/de.json";
import type { Json } from "../client/index";
import { isObject } from "../state/quote-wire";
import { filled, inEnglish } from "./error-words";
import { language } from "./text";

export type SaidKind = "alert" | "check" | "change" | "close" | "ending" | "line";

export interface ServerSaid {
  /** The server's own words. */
  readonly text: string;
  readonly code: string;
  /** What the words name. */
  readonly details?: Json | undefined;
}

const TABLES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([["de", new Map(Object.entries(de))]]);

/** Our words for a code; null if the reader's language is the server's, or there are none. */
export function knownWords(kind: SaidKind, code: string, details?: Json, reader = language): string | null {
  const known = TABLES.get(reader)?.get(`${kind}.${code}`);
  return known === undefined ? null : filled(known, isObject(details) ? details : {});
}

/** Our words, or the server's, marked as such where they are not in the reader's language. */
export function serverWords(kind: SaidKind, said: ServerSaid, reader = language): string {
  return knownWords(kind, said.code, said.details, reader) ?? inEnglish(said.text, reader);
}

/** Why a client's connection ended, by the name of its close code; a code that is not ours means nothing to us. */
export function closeWords(reason: string, meaning: string, reader = language): string {
  return meaning === "" ? "" : serverWords("close", { text: meaning, code: reason }, reader);
}

/** Why a line to the venue ended. A cause may have a number behind it: `close_1008`, `http_401`. */
export function endingWords(cause: string, message: string, reader = language): string {
  const [, family = cause, code = ""] = /^([a-z_]+)_(\d+)$/.exec(cause) ?? [];
  return serverWords("ending", { text: message, code: family, details: { code } }, reader);
}

/** The last part of a line's code says which step it is: `coverage_collision.driver_age`. The name is the plan's own. */
export function lineWords(code: string, label: string, reader = language): string {
  return knownWords("line", code.slice(code.indexOf(".") + 1), undefined, reader) ?? label;
}
