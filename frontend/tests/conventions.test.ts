// House rules that the compiler does not know: no any, no HTML from strings, no console, no non-null assertion.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SOURCE = join(import.meta.dirname, "..", "src");
const FORBIDDEN: [string, RegExp][] = [
  ["the type any", /(:|<|\bas)\s*any\b/],
  ["HTML from a string", /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b/],
  ["console output", /\bconsole\.\w+\(/],
  ["a non-null assertion", /[\w\])]!(\.|\[|;|,|\))/],
  ["code from a string", /\beval\(|new Function\(/],
  ["a silenced compiler", /@ts-(ignore|nocheck|expect-error)/],
];

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

describe("house rules", () => {
  it("finds the sources", () => {
    expect(sources(SOURCE).length).toBeGreaterThan(10);
  });
  for (const [what, pattern] of FORBIDDEN) {
    it(`no ${what}`, () => {
      const breaches = sources(SOURCE).flatMap((path) =>
        readFileSync(path, "utf8")
          .split("\n")
          .map((line, index) => ({ line: line.replace(/\/\/.*$|^\s*\*.*$/, ""), place: `${path}:${index + 1}` }))
          .filter(({ line }) => pattern.test(line))
          .map(({ line, place }) => `${place}: ${line.trim()}`),
      );
      expect(breaches).toEqual([]);
    });
  }
});
