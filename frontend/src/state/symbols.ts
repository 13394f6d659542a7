/**
 * Symbols as people write them and as addresses keep them. Pure; it must not know which symbols exist.
 * The grammar is that of a market room (docs/protocol.md).
 */

const SYMBOL = /^[A-Z0-9][A-Z0-9.-]{0,31}$/;

/** A connection may be in 100 rooms; more than half of that is no list that somebody watches. */
export const MAX_SYMBOLS = 50;

export interface Parsed {
  /** In the order written, each once. */
  readonly symbols: readonly string[];
  /** What cannot be a symbol, as written. */
  readonly wrong: readonly string[];
}

export function isSymbol(text: string): boolean {
  return SYMBOL.test(text);
}

/** Reads symbols apart by commas, semicolons or spaces, in either case. */
export function parseSymbols(text: string): Parsed {
  const words = text.split(/[\s,;]+/).filter((word) => word !== "");
  const upper = words.map((word) => word.toUpperCase());
  return {
    symbols: [...new Set(upper.filter(isSymbol))],
    wrong: [...new Set(words.filter((_, i) => !isSymbol(upper[i] ?? "")))],
  };
}

/** The address of the page with this list; symbols need no escaping. */
export function addressOf(path: string, symbols: readonly string[]): string {
  return symbols.length === 0 ? path : `${path}?symbols=${symbols.join(",")}`;
}

/** The list of an address; null if it names none, so that the remembered one counts. */
export function listOf(query: string): Parsed | null {
  const text = new URLSearchParams(query).get("symbols");
  return text === null ? null : parseSymbols(text);
}
