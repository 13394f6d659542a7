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
}

/** Why a field cannot have a value: the server's sentence, and its code with what it names, if it sent one. */
export interface Reason {
  readonly text: string;
  readonly why: Json | undefined;
}

const TABLES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([["de", new Map(Object.entries(de))]]);

export function errorWords(said: Said, reader = language): string {
  const own = said.sentences.filter((one) => one !== "").join(" ");
  const known = TABLES.get(reader)?.get(said.code);
  if (known !== undefined) return known;
  return inEnglish(own, reader);
}

export function reasonWords({ text, why }: Reason, reader = language): string {
  if (isObject(why) && typeof why["code"] === "string") {
    const known = TABLES.get(reader)?.get(`reason.${why["code"]}`);
    if (known !== undefined) return known.replace(/\{(\w+)\}/g, (whole, name: string) => String(why[name] ?? whole));
  }
  return inEnglish(text, reader);
}

/** The server's own words, marked as such where they are not in the reader's language. */
function inEnglish(text: string, reader: string): string {
  return text === "" || !TABLES.has(reader) ? text : t("error.said", { said: text });
}
