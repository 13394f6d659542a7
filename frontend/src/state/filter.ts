/**
 * The tick filter: text fields to the wire's filter, to the URL and back, and the same test as the server's for ticks
 * that are already here. Pure; it must not know where the fields or the URL are.
 */
import type { Filter, Tick } from "../socket/wire";
import type { Takes } from "./address";

export interface FilterFields {
  symbols: string;
  types: string;
  text: string;
  minChange: string;
}

export const NO_FIELDS: FilterFields = { symbols: "", types: "", text: "", minChange: "" };

/** The names of the fields in the page's URL. */
const PARAMETERS: Record<keyof FilterFields, string> = {
  symbols: "symbols",
  types: "types",
  text: "text",
  minChange: "min_change",
};

/** What the page's address may name. */
export const FEED_ADDRESS: Takes = {
  names: { symbols: "any", types: "any", text: "any", min_change: (value) => !Number.isNaN(parseChange(value)) },
};

function words(text: string): string[] {
  return [
    ...new Set(
      text
        .toUpperCase()
        .split(/[\s,;]+/)
        .filter((word) => word !== ""),
    ),
  ];
}

/** The change in percent that was typed ("0.5", "0,5 %"), null if empty, NaN if it is not a number of 0 or more. */
export function parseChange(text: string): number | null {
  const trimmed = text.replace("%", "").replace(",", ".").trim();
  if (trimmed === "") return null;
  const value = Number(trimmed);
  return Number.isFinite(value) && value >= 0 ? value : Number.NaN;
}

/** The wire's filter for what was typed; null if nothing was. A change that is no number is left out: see `parseChange`. */
export function toFilter(fields: FilterFields): Filter | null {
  const filter: Filter = {};
  const symbols = words(fields.symbols);
  const types = words(fields.types);
  const text = fields.text.trim();
  const change = parseChange(fields.minChange);
  if (symbols.length > 0) filter.symbols = symbols;
  if (types.length > 0) filter.types = types;
  if (text !== "") filter.text = text;
  if (change !== null && change > 0) filter.min_change = change;
  return Object.keys(filter).length === 0 ? null : filter;
}

/** Fields from a query string such as `?symbols=AAPL,MS*&min_change=0.1`. */
export function fromQuery(query: string): FilterFields {
  const parameters = new URLSearchParams(query);
  const read = (key: keyof FilterFields): string => parameters.get(PARAMETERS[key]) ?? "";
  return { symbols: read("symbols"), types: read("types"), text: read("text"), minChange: read("minChange") };
}

/** `query` with the fields written into it; other parameters stay. Without the leading question mark. */
export function toQuery(fields: FilterFields, query: string): string {
  const parameters = new URLSearchParams(query);
  for (const key of Object.keys(PARAMETERS) as (keyof FilterFields)[]) {
    const value = fields[key].trim();
    if (value === "") parameters.delete(PARAMETERS[key]);
    else parameters.set(PARAMETERS[key], value);
  }
  return parameters.toString();
}

/** Whether `symbol` matches a pattern in which `*` stands for anything, case aside. By hand: linear in any pattern. */
export function symbolMatches(pattern: string, symbol: string): boolean {
  const parts = pattern.toUpperCase().split("*");
  const name = symbol.toUpperCase();
  const first = parts[0] ?? "";
  const last = parts.at(-1) ?? "";
  if (parts.length === 1) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  const end = name.length - last.length;
  let at = first.length;
  for (const piece of parts.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return at <= end;
}

/** A test for ticks, made once per filter because it runs for every tick. */
export function tickTest(filter: Filter | null): (tick: Tick) => boolean {
  if (filter === null) return () => true;
  const exact = new Set<string>();
  const patterns: string[] = [];
  for (const symbol of filter.symbols ?? []) {
    if (symbol.includes("*")) patterns.push(symbol);
    else exact.add(symbol.toUpperCase());
  }
  const known = new Map<string, boolean>();
  const symbolPasses = (symbol: string): boolean => {
    if (exact.size === 0 && patterns.length === 0) return true;
    let passes = known.get(symbol);
    if (passes === undefined) {
      passes = exact.has(symbol.toUpperCase()) || patterns.some((pattern) => symbolMatches(pattern, symbol));
      known.set(symbol, passes);
    }
    return passes;
  };
  const types = new Set((filter.types ?? []).map((type) => type.toUpperCase()));
  const text = (filter.text ?? "").toLowerCase();
  const change = filter.min_change ?? 0;
  return (tick) => {
    if (!symbolPasses(tick.symbol)) return false;
    if (types.size > 0 && !types.has((tick.event ?? "").toUpperCase())) return false;
    if (text !== "" && !searchable(tick).includes(text)) return false;
    return change === 0 || (tick.change_pct !== null && Math.abs(tick.change_pct) >= change);
  };
}

/** The same words the server looks in (docs/admin-channel.md). */
function searchable(tick: Tick): string {
  return `${tick.symbol}\n${tick.source}\n${tick.event ?? ""}\n${tick.connection_id ?? "unassigned"}`.toLowerCase();
}
