/** Which alerts a strip is shown for. */
import { describe, expect, it } from "vitest";

import type { AlertRow, AlertsAnswer, Judging } from "../src/socket/alerts-api";
import { dismiss, type Kept, newFiring, readKept, takeOpen } from "../src/state/firing";

const NEW: Kept = { since: null, dismissed: [] };

function alert(id: string, openedAt: number): AlertRow {
  return { id, opened_at: openedAt } as AlertRow;
}

function answer(at: number, alerts: AlertRow[], judging: Partial<Judging> = {}): AlertsAnswer {
  const whole = { mode: "leading", held_back: 0, heard_at: at, open: alerts.length, ...judging } as Judging;
  return { alerts, at, matching: alerts.length, cursor: null, live: true, judging: whole };
}

const ids = (alerts: readonly AlertRow[]): string[] => alerts.map((one) => one.id);

describe("the strips of alerts", () => {
  it("are for what opens from now on, oldest first, until it is over", () => {
    let firing = takeOpen(newFiring(NEW), answer(100, [alert("old", 90)]));
    expect(ids(firing.alerts)).toEqual([]);
    firing = takeOpen(firing, answer(103, [alert("b", 102), alert("a", 101), alert("old", 90)]));
    expect(ids(firing.alerts)).toEqual(["a", "b"]);
    firing = takeOpen(firing, answer(106, [alert("b", 102)]));
    expect(ids(firing.alerts)).toEqual(["b"]);
  });
  it("come along to the next page, and what was dismissed does not", () => {
    let firing = takeOpen(newFiring(NEW), answer(100, []));
    firing = takeOpen(firing, answer(103, [alert("a", 101), alert("b", 102)]));
    firing = dismiss(firing, "a");
    expect(ids(firing.alerts)).toEqual(["b"]);
    const next = takeOpen(
      newFiring(readKept(JSON.stringify(firing.kept))),
      answer(110, [alert("a", 101), alert("b", 102)]),
    );
    expect(ids(next.alerts)).toEqual(["b"]);
  });
  it("tell what was held back since the page began, and when nobody judges any more", () => {
    let firing = takeOpen(newFiring(NEW), answer(100, [], { held_back: 5, mode: "nobody" }));
    expect([firing.heldBack, firing.unwatchedSince]).toEqual([0, null]);
    firing = takeOpen(firing, answer(103, [], { held_back: 7 }));
    expect([firing.heldBack, firing.unwatchedSince]).toEqual([2, null]);
    firing = takeOpen(firing, answer(106, [], { mode: "nobody", heard_at: 104, held_back: 7 }));
    expect(firing.unwatchedSince).toBe(104);
  });
  it("begin anew where nothing sound is kept", () => {
    for (const text of [null, "", "{", "7", "null", "[]", '{"since":"x","dismissed":[]}', '{"since":1}'])
      expect(readKept(text)).toEqual(NEW);
  });
});
