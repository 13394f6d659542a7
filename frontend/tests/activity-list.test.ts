import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ActivityList,
  type ActivityRow,
  EMPTY,
  onOlder,
  onPage,
  onRows,
  pause,
  resume,
  ROWS_MAX,
} from "../src/state/activity-list";
import { momentOf, typedOf } from "../src/state/zone-time";

const row = (id: number): ActivityRow => ({
  id,
  at: 1_700_000_000 + Math.floor(id / 2),
  actor: "ada",
  actor_id: 1,
  action: "user.login",
  target: "",
  ip: "",
  details: {},
});
const some = (...ids: number[]): ActivityRow[] => ids.map(row);
const ids = (list: ActivityList): number[] => (list.rows ?? []).map((one) => one.id);

describe("the activity list", () => {
  it("shows the page, then each new row once, newest first", () => {
    let list = onPage(EMPTY, some(9, 8, 7), "older", true);
    list = onRows(list, some(10, 9));
    list = onRows(list, some(12, 11));
    expect(ids(list)).toEqual([12, 11, 10, 9, 8, 7]);
    expect(ids(onOlder(list, some(6, 7, 5), null))).toEqual([12, 11, 10, 9, 8, 7, 6, 5]);
  });

  it("holds back what comes while it is paused, counts it once, and shows it when it goes on", () => {
    let list = pause(onPage(EMPTY, some(3, 2, 1), null, true), 50);
    list = onRows(onRows(list, some(4)), some(4, 5));
    expect(ids(list)).toEqual([3, 2, 1]);
    expect([list.held.length, list.pausedAt]).toEqual([2, 50]);
    // Another connection brings the page anew: only what is new counts.
    list = onPage(list, some(6, 5, 4, 3), "c", false);
    expect(list.held.map((one) => one.id)).toEqual([6, 5, 4]);
    list = onRows(list, some(7));
    expect(ids(resume(list))).toEqual([7, 6, 5, 4, 3]);
    expect(resume(list).cursor).toBe("c");
  });

  it("begins anew for another question, paused or not", () => {
    const list = pause(onPage(EMPTY, some(3), null, true), 50);
    const next = onPage(list, some(9), "c", true);
    expect(ids(next)).toEqual([9]);
    expect([next.pausedAt, next.held.length, next.cursor]).toEqual([50, 0, "c"]);
  });

  it("is bounded, and says so", () => {
    let list = onPage(EMPTY, some(1), "c", true);
    for (let id = 2; id <= ROWS_MAX + 5; id++) list = onRows(list, some(id));
    expect(list.rows?.length).toBe(ROWS_MAX);
    expect([list.full, list.cursor, ids(list)[0]]).toEqual([true, null, ROWS_MAX + 5]);
  });

  it("never shows a row twice or out of order, whatever comes", () => {
    const step = fc.oneof(
      fc.array(fc.nat(40), { maxLength: 8 }).map((list) => ({ kind: "rows" as const, list })),
      fc.array(fc.nat(40), { maxLength: 8 }).map((list) => ({ kind: "page" as const, list })),
      fc.array(fc.nat(40), { maxLength: 8 }).map((list) => ({ kind: "older" as const, list })),
      fc.constant({ kind: "pause" as const, list: [] as number[] }),
      fc.constant({ kind: "resume" as const, list: [] as number[] }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let list = EMPTY;
        for (const { kind, list: numbers } of steps) {
          const rows = some(...new Set(numbers));
          if (kind === "rows") list = onRows(list, rows);
          else if (kind === "page") list = onPage(list, rows, null, false);
          else if (kind === "older") list = onOlder(list, rows, null);
          else list = kind === "pause" ? pause(list, 1) : resume(list);
        }
        const shown = ids(resume(list));
        expect(shown).toEqual([...new Set(shown)].sort((one, other) => other - one));
      }),
    );
  });
});

describe("a moment in a zone", () => {
  it("is what its clocks show, also around their change", () => {
    expect(momentOf("2026-01-15T12:00", "UTC")).toBe(Date.UTC(2026, 0, 15, 12) / 1000);
    expect(momentOf("2026-01-15T12:00", "Europe/Berlin")).toBe(Date.UTC(2026, 0, 15, 11) / 1000);
    expect(momentOf("2026-07-15T12:00:05", "America/New_York")).toBe(Date.UTC(2026, 6, 15, 16, 0, 5) / 1000);
    expect(momentOf("2026-03-29T03:30", "Europe/Berlin")).toBe(Date.UTC(2026, 2, 29, 1, 30) / 1000);
    expect(momentOf("", "UTC")).toBeNull();
    expect(momentOf("yesterday", "UTC")).toBeNull();
  });

  it("comes back as it was typed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (moment) => {
        expect(momentOf(typedOf(moment, "UTC"), "UTC")).toBe(moment);
        expect(momentOf(typedOf(moment, "Asia/Kolkata"), "Asia/Kolkata")).toBe(moment);
      }),
    );
  });
});
