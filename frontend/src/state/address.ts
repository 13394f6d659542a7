/**
 * What an address asks for and its page cannot do: names that the page does not know, values that cannot be, one thing
 * asked for twice. Pure; it must not know any page. To leave such a thing out would show more than was asked for.
 */
import type { ListShape } from "./list-query";

/** Which values a name may have: whichever, one of a list, or those that pass. */
export type Values = "any" | readonly string[] | ((value: string) => boolean);

/** What a page takes, by name. `many`: may stand several times. */
export interface Takes {
  readonly names: Readonly<Record<string, Values>>;
  readonly many?: readonly string[];
}

export const NOTHING: Takes = { names: {} };

export interface Oddity {
  readonly name: string;
  /** As they stand in the address, in order. */
  readonly values: readonly string[];
  readonly why: "unknown" | "twice" | "value";
  /** What it may be, if that is a list. */
  readonly choices: readonly string[];
}

/** What cannot be; each name once. */
export function odditiesOf(search: string, takes: Takes): Oddity[] {
  const given = new URLSearchParams(search);
  return [...new Set(given.keys())].flatMap((name) => {
    const values = given.getAll(name);
    const why = whatIsWrong(name, values, takes);
    const allowed = Object.hasOwn(takes.names, name) ? takes.names[name] : undefined;
    const choices = why === "value" && Array.isArray(allowed) ? (allowed as string[]).filter((one) => one !== "") : [];
    return why === null ? [] : [{ name, values, why, choices }];
  });
}

function whatIsWrong(name: string, values: readonly string[], takes: Takes): Oddity["why"] | null {
  const allowed = Object.hasOwn(takes.names, name) ? takes.names[name] : undefined;
  if (allowed === undefined) return "unknown";
  if (values.length > 1 && takes.many?.includes(name) !== true) return "twice";
  if (allowed === "any") return null;
  const fits = typeof allowed === "function" ? allowed : (value: string): boolean => allowed.includes(value);
  return values.every(fits) ? null : "value";
}

/** The address without them; empty if nothing is left. */
export function withoutOddities(search: string, odd: readonly Oddity[]): string {
  const left = new URLSearchParams(search);
  for (const { name } of odd) left.delete(name);
  const text = left.toString();
  return text === "" ? "" : `?${text}`;
}

/** What a list takes. `choices`: by field, where it may not be any text. */
export function listTakes(shape: ListShape, choices: Readonly<Record<string, Values>> = {}): Takes {
  const fields = Object.fromEntries(shape.fields.map((name): [string, Values] => [name, choices[name] ?? "any"]));
  return { names: { ...fields, sort: Object.keys(shape.sorts), order: ["asc", "desc"] } };
}

/** Whether a text is a whole number within bounds, written as such. */
export function wholeWithin(least: number, most: number): (value: string) => boolean {
  return (value) => /^\d{1,15}$/.test(value) && Number(value) >= least && Number(value) <= most;
}

const SHOWN_CHARS = 60;

/** A name and its value for people to read; cut where it is absurd. */
export function readable(name: string, value: string): string {
  const short = (text: string): string => (text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`);
  return `${short(name)}=${short(value)}`;
}

/** Everything that an address asks for, in its order. */
export function askedIn(search: string): string {
  return [...new URLSearchParams(search)].map(([name, value]) => readable(name, value)).join(", ");
}
