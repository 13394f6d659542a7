import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addressOf, isSymbol, listOf, parseSymbols } from "../src/state/symbols";

describe("symbols", () => {
  it("reads lists as people write them", () => {
    expect(parseSymbols(" aapl, MSFT;brk.b  aapl ")).toEqual({ symbols: ["AAPL", "MSFT", "BRK.B"], wrong: [] });
    expect(parseSymbols("x!y .a ok")).toEqual({ symbols: ["OK"], wrong: ["x!y", ".a"] });
    expect(parseSymbols("")).toEqual({ symbols: [], wrong: [] });
  });

  it("never lets through what is no room's name, whatever is typed", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { symbols } = parseSymbols(text);
        for (const symbol of symbols) expect(symbol).toMatch(/^[A-Z0-9][A-Z0-9.-]{0,31}$/);
        expect(new Set(symbols).size).toBe(symbols.length);
      }),
    );
  });

  it("finds in an address exactly the list that was put there", () => {
    const symbol = fc.stringMatching(/^[A-Z0-9][A-Z0-9.-]{0,31}$/).filter(isSymbol);
    fc.assert(
      fc.property(fc.uniqueArray(symbol, { minLength: 1, maxLength: 50 }), (symbols) => {
        const address = addressOf("/streaming", symbols);
        expect(listOf(new URL(address, "http://here").search)).toEqual({ symbols, wrong: [] });
      }),
    );
    expect(addressOf("/streaming", [])).toBe("/streaming");
    expect(listOf("")).toBeNull();
  });
});
