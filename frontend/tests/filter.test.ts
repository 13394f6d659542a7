import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromQuery, NO_FIELDS, parseChange, symbolMatches, tickTest, toFilter, toQuery } from "../src/state/filter";
import { tick } from "./make";

describe("fields to filter", () => {
  it("reads symbols, types, text and change", () => {
    expect(toFilter({ symbols: "aapl, ms*  AAPL", types: "t a", text: " x ", minChange: "0,05 %" })).toEqual({
      symbols: ["AAPL", "MS*"],
      types: ["T", "A"],
      text: "x",
      min_change: 0.05,
    });
  });

  it("is nothing when nothing is typed", () => {
    expect(toFilter({ symbols: " ,; ", types: "", text: "  ", minChange: "0" })).toBeNull();
  });

  it("takes no absurd change", () => {
    for (const text of ["-1", "abc", "1e999", "0.5.1"]) expect(parseChange(text)).toBeNaN();
    expect(toFilter({ ...NO_FIELDS, minChange: "abc" })).toBeNull();
  });
});

describe("the URL", () => {
  it("gives back what was put in, and leaves other parameters alone", () => {
    const field = fc.string().map((text) => text.trim());
    fc.assert(
      fc.property(field, field, field, field, (symbols, types, text, minChange) => {
        const fields = { symbols, types, text, minChange };
        const query = toQuery(fields, "?theme=x&symbols=OLD");
        expect(fromQuery(query)).toEqual(fields);
        expect(new URLSearchParams(query).get("theme")).toBe("x");
      }),
    );
  });
});

describe("symbolMatches", () => {
  it("agrees with a regular expression for every pattern", () => {
    const letters = fc.string({ unit: fc.constantFrom("A", "B", ".", "*"), maxLength: 7 });
    const name = fc.string({ unit: fc.constantFrom("a", "A", "B", "."), maxLength: 9 });
    fc.assert(
      fc.property(letters, name, (pattern, symbol) => {
        const source = pattern.replaceAll(".", "\\.").replaceAll("*", ".*");
        expect(symbolMatches(pattern, symbol)).toBe(new RegExp(`^${source}$`, "i").test(symbol));
      }),
      { numRuns: 500 },
    );
  });

  it("stays quick on a hostile pattern", () => {
    expect(symbolMatches("*A".repeat(30), "A".repeat(29))).toBe(false);
  });
});

describe("tickTest", () => {
  const passes = (filter: Parameters<typeof tickTest>[0], more = {}): boolean => tickTest(filter)(tick(1, more));

  it("lets everything through without a filter", () => {
    expect(passes(null)).toBe(true);
  });

  it("wants every given part to hold", () => {
    expect(passes({ symbols: ["AAPL"], types: ["T"], text: "massive", min_change: 0.005 })).toBe(true);
    expect(passes({ symbols: ["MSFT"] })).toBe(false);
    expect(passes({ types: ["A"] })).toBe(false);
    expect(passes({ text: "other" })).toBe(false);
    expect(passes({ min_change: 0.02 })).toBe(false);
  });

  it("counts a fall as a change, and a first tick as none", () => {
    expect(passes({ min_change: 0.5 }, { change_pct: -0.6 })).toBe(true);
    expect(passes({ min_change: 0.5 }, { change_pct: null })).toBe(false);
  });

  it("finds the connection by text, as the server does", () => {
    expect(passes({ text: "connection_1" })).toBe(true);
    expect(passes({ text: "unassigned" }, { connection_id: null })).toBe(true);
  });
});
