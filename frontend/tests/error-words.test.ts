/** The server's errors in the reader's language. */
import { describe, expect, it } from "vitest";

import { errorWords, reasonWords } from "../src/ui/error-words";
import { problemRest, problemTitle, problemWords } from "../src/ui/problem-words";

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

describe("a refusal of the operators' API", () => {
  const refused = {
    code: "last_node",
    message: "No other node takes clients.",
    required_action: "Start another node.",
    will_not: "Nothing was done.",
    details: { clients: 12345 },
  };
  it("is told whole, or its first sentence apart from the others", () => {
    const [title, rest] = [problemTitle(refused, "", "de"), problemRest(refused, "de")];
    expect(title).toBe("Kein anderer Knoten nimmt Clients an; die 12.345 von diesem könnten nirgendwohin.");
    expect(rest).toMatch(/^Einen weiteren Knoten starten/);
    expect(problemWords(refused, "", "de")).toBe(`${title} ${rest}`);
    expect(problemTitle(refused, "", "en")).toBe("No other node takes clients.");
    expect(problemRest(refused, "en")).toBe("Start another node. Nothing was done.");
  });
  it("is told more closely where it names what it is about", () => {
    const gone = { ...refused, code: "not_found" };
    expect(problemWords({ ...gone, details: undefined }, "", "de")).toMatch(/^Das gibt es nicht/);
    expect(problemWords({ ...gone, details: { ban: 7 } }, "", "de")).toMatch(/^Es gibt keine Sperre Nummer 7\./);
    expect(problemWords({ ...gone, details: { quote: "q" } }, "", "de")).toMatch(/^Das gibt es nicht/);
  });
  it("is taken apart before it is filled, so that a name with a full stop stays whole", () => {
    const silent = { ...refused, code: "nodes_silent", details: { node: "eu. 1" } };
    expect(problemTitle(silent, "", "de")).toBe("Der Knoten eu. 1 hat nicht geantwortet.");
  });
  it("that never came is told in the page's own words, if it has any", () => {
    const silent = { ...refused, code: "no_answer", message: "Failed to fetch" };
    expect(problemWords(silent, "Is it done? Look.", "en")).toBe("Is it done? Look.");
    expect(problemTitle(silent, "", "de")).toBe("Der Server hat nicht geantwortet.");
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
