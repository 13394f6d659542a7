// House rules that the compiler does not know: no any, no HTML from strings, no console, no non-null assertion.
import { describe, expect, it } from "vitest";

const SOURCES = import.meta.glob<string>("../src/**/*.ts", { query: "?raw", import: "default", eager: true });
const FORBIDDEN: [string, RegExp][] = [
  ["the type any", /(:|<|\bas)\s*any\b/],
  ["HTML from a string", /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b/],
  ["console output", /\bconsole\.\w+\(/],
  ["a non-null assertion", /[\w\])]!(\.|\[|;|,|\))/],
  ["code from a string", /\beval\(|new Function\(/],
  ["a silenced compiler", /@ts-(ignore|nocheck|expect-error)/],
];

describe("house rules", () => {
  it("finds the sources", () => {
    expect(Object.keys(SOURCES).length).toBeGreaterThan(10);
  });
  for (const [what, pattern] of FORBIDDEN) {
    it(`no ${what}`, () => {
      const breaches = Object.entries(SOURCES).flatMap(([path, text]) =>
        text
          .split("\n")
          .map((line, index) => ({ line: line.replace(/\/\/.*$|^\s*\*.*$/, ""), place: `${path}:${index + 1}` }))
          .filter(({ line }) => pattern.test(line))
          .map(({ line, place }) => `${place}: ${line.trim()}`),
      );
      expect(breaches).toEqual([]);
    });
  }
});
