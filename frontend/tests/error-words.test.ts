/** The server's errors in the reader's language. */
import { describe, expect, it } from "vitest";

import { errorWords, reasonWords } from "../src/ui/error-words";

describe("an error", () => {
  const said = { code: "quote_bound", sentences: ["The quote is bound.", "", "No change."] };
  it("is the server's own words in the server's language", () => {
    expect(errorWords(said, "en")).toBe("The quote is bound. No change.");
  });
  it("is told by its code in another language", () => {
    expect(errorWords(said, "de")).toMatch(/^Das Angebot ist abgeschlossen/);
  });
  it("that is not known is shown as what the server said", () => {
    expect(errorWords({ ...said, code: "news" }, "de")).toMatch(/The quote is bound\. No change\./);
    expect(errorWords({ ...said, code: "news" }, "de")).not.toBe("The quote is bound. No change.");
    expect(errorWords({ code: "news", sentences: [] }, "de")).toBe("");
  });
  it("is not looked up among what every object has", () => {
    expect(errorWords({ code: "constructor", sentences: ["Odd."] }, "de")).toMatch(/Odd\./);
  });
});

describe("a field's reason", () => {
  it("is filled in with what the server named", () => {
    const why = { code: "range", low: 1980, high: 2027 };
    expect(reasonWords({ text: "This must be from 1980 to 2027.", why }, "de")).toBe("Erlaubt ist 1980 bis 2027.");
    expect(reasonWords({ text: "This must be from 1980 to 2027.", why }, "en")).toBe("This must be from 1980 to 2027.");
  });
  it("without a code is the server's own words", () => {
    expect(reasonWords({ text: "is missing", why: null }, "de")).toMatch(/is missing/);
    expect(reasonWords({ text: "is missing", why: { code: "news" } }, "de")).toMatch(/is missing/);
  });
});
