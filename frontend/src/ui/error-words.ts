/**
 * The server's errors in the reader's language, by code. The server speaks English; for other languages there is a table
 * (src/tidewire/web/locales/errors), and what it lacks is shown as what it is: the server's own words. It must not know
 * any page.
 */
import de from "../../../src/tidewire/web/locales/errors/de.json";
import type { Json } from "../client/index";
import { isObject } from "../state/quote-wire";
import { language, t } from "./text";

export interface Said {
  readonly code: string;
  /** The server's sentences; empty ones are left out. */
  readonly sentences: readonly string[];
  /** What the sentences name. */
  readonly details?: Json | undefined;
}

/** Why a field cannot have a value: the server's sentence, and its code with what it names, if it sent one. */
export interface Reason {
  readonly text: string;
  readonly why: Json | undefined;
}

const TABLES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([["de", new Map(Object.entries(de))]]);

/** Of an error's sentences: all, or the first (what happened), or those after it. */
export type Part = "all" | "first" | "rest";

export function errorWords(said: Said, reader = language, part: Part = "all"): string {
  const details = isObject(said.details) ? said.details : {};
  const known = template(said.code, details, reader);
  // Taken apart before it is filled: what is named may have full stops of its own.
  if (known !== undefined) return filled(partOf(known, part), details, reader);
  const own = part === "first" ? said.sentences.slice(0, 1) : said.sentences.slice(part === "rest" ? 1 : 0);
  return inEnglish(own.filter((one) => one !== "").join(" "), reader);
}

/** `code.name` is for an error whose details have `name`: the same code is said of a user, a node or an alert. */
function template(code: string, details: Readonly<Record<string, Json>>, reader: string): string | undefined {
  const table = TABLES.get(reader);
  for (const name of Object.keys(details)) {
    const closer = table?.get(`${code}.${name}`);
    if (closer !== undefined) return closer;
  }
  return table?.get(code);
}

function partOf(text: string, part: Part): string {
  const end = text.indexOf(". ") + 1;
  if (part === "all" || end === 0) return part === "rest" ? "" : text;
  return part === "first" ? text.slice(0, end) : text.slice(end + 1);
}

/** Whether an error has words in the reader's language that are not the server's own. */
export function knownError(code: string, reader = language): boolean {
  return TABLES.get(reader)?.has(code) ?? false;
}

export function reasonWords({ text, why }: Reason, reader = language): string {
  if (isObject(why) && typeof why["code"] === "string") {
    const known = TABLES.get(reader)?.get(`reason.${why["code"]}`);
    if (known !== undefined) return filled(known, why, reader);
  }
  return inEnglish(text, reader);
}

/** A text with its places filled; one that nothing is known for stays as it is. */
export function filled(text: string, named: Readonly<Record<string, Json>>, reader = language): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => shown(named[name] ?? whole, reader));
}

/** Smaller numbers are left as they are: a year has no thousands. */
function shown(value: Json, reader: string): string {
  return typeof value === "number" && Math.abs(value) >= 10_000
    ? new Intl.NumberFormat(reader).format(value)
    : String(value);
}

/** The server's own words, marked as such where they are not in the reader's language. */
export function inEnglish(text: string, reader = language): string {
  return text === "" || !TABLES.has(reader) ? text : t("error.said", { said: text });
}
