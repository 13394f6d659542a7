/** What the server says beside errors, in the reader's language. */
import { describe, expect, it } from "vitest";

import { errorWords } from "../src/ui/error-words";
import { messageOf } from "../src/ui/alert-words";
import { closeWords, endingWords, knownWords, lineWords, serverWords } from "../src/ui/server-words";

describe("what the server says", () => {
  const said = { text: "2 of 3 lines are not connected: a, b.", code: "check_lines_down" };
  const details = { count: 2, of: 3, lines: "a, b" };
  it("is its own sentence in its own language", () => {
    expect(serverWords("check", { ...said, details }, "en")).toBe(said.text);
    expect(knownWords("check", said.code, details, "en")).toBeNull();
  });
  it("is told by its code in another one, with what it names", () => {
    expect(serverWords("check", { ...said, details }, "de")).toBe("2 von 3 Leitungen sind nicht verbunden: a, b.");
    expect(serverWords("change", { text: "undo of version 7", code: "undone", details: { version: 7 } }, "de")).toBe(
      "Rücknahme von Version 7",
    );
  });
  it("is marked as the server's where there are no words", () => {
    expect(serverWords("change", { text: "because", code: "" }, "de")).toMatch(/because/);
    expect(serverWords("change", { text: "because", code: "" }, "de")).not.toBe("because");
    expect(serverWords("change", { text: "x", code: "constructor" }, "de")).toMatch(/x/);
  });
});

describe("a line of a premium", () => {
  it("is told by the last part of its code", () => {
    expect(lineWords("coverage_collision.driver_age", "Driver's age", "de")).toBe("Alter der fahrenden Person");
    expect(lineWords("coverage_collision", "Collision", "de")).toBe("Kollision");
    expect(lineWords("coverage_collision", "Crash", "en")).toBe("Crash");
  });
  it("keeps the plan's own title where it is not known", () => {
    expect(lineWords("coverage_towing", "Towing", "de")).toBe("Towing");
  });
});

describe("an error of analytics", () => {
  it("names the filter", () => {
    const said = { code: "bad_filter", sentences: ["The filter hours is wrong."], details: { filter: "hours" } };
    expect(errorWords(said, "de")).toMatch(/^Der Filter „hours“/);
    expect(errorWords(said, "en")).toBe("The filter hours is wrong.");
  });
});

describe("why a line or a connection ended", () => {
  it("is told by its cause, with the number behind it", () => {
    expect(endingWords("close_1008", "The venue closed it.", "de")).toBe(
      "Code 1008: Der Anbieter hat die Verbindung geschlossen.",
    );
    expect(endingWords("tcp_reset", "The venue dropped it.", "de")).toMatch(/^Der Anbieter hat die TCP-Verbindung/);
    expect(endingWords("close_1008", "The venue closed it.", "en")).toBe("The venue closed it.");
    expect(endingWords("news", "It is new.", "de")).toMatch(/It is new\./);
  });
  it("means something only where the code is ours", () => {
    expect(closeWords("slow_consumer", "You read slowly.", "de")).toMatch(/^Der Client las langsamer/);
    expect(closeWords("slow_consumer", "You read slowly.", "en")).toBe("You read slowly.");
    expect(closeWords("lost", "", "de")).toBe("");
  });
});

describe("what an alert has found", () => {
  const row = {
    name: "Slow consumers closed",
    group: "node=vm",
    message:
      "Slow consumers closed (node=vm): rate of m_total over 120 s is 12,345 on 2 series; > 0.5 for 30 s is bad.",
    value: 12345,
    threshold: 0.5,
    compare: ">",
    member_count: 2,
    said: { code: "bad", figures: [{ metric: "m_total", read: "rate", window_s: 120 }], for_s: 30 },
  } as const;
  it("is the server's sentence without the name, or ours from what it says", () => {
    expect(messageOf(row, "en")).toBe("rate of m_total over 120 s is 12,345 on 2 series; > 0.5 for 30 s is bad.");
    expect(messageOf(row, "de")).toBe(
      "Anstieg von m_total über 120 s: 12.345 in 2 Reihen; schlecht ist > 0,5 über 30 s.",
    );
  });
  it("may be two figures, nothing, or told by a server that does not say what it says", () => {
    const value = { metric: "all_total", read: "value", window_s: 60 } as const;
    const two = { ...row, member_count: 1, value: 0.25, said: { ...row.said, figures: [value, value], for_s: 0 } };
    expect(messageOf(two, "de")).toBe("all_total geteilt durch all_total: 0,25; schlecht ist > 0,5.");
    const none = { ...row, said: { ...row.said, code: "no_data" as const } };
    expect(messageOf(none, "de")).toBe("Anstieg von m_total über 120 s: seit 30 s von keinem Knoten gemessen.");
    expect(messageOf({ ...row, said: null }, "de")).toMatch(/rate of m_total over 120 s is 12,345/);
  });
});
