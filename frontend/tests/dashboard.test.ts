import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Filter, UNASSIGNED } from "../src/socket/wire";
import {
  addNotice,
  allPaused,
  applyFilter,
  applyHeld,
  applyHistory,
  applyMetrics,
  applyPaused,
  applyResumed,
  applySnapshot,
  applyStatus,
  applyTicks,
  beginSync,
  carryHeld,
  clearView,
  column,
  compareIds,
  type Dashboard,
  newDashboard,
  PENDING_MAX,
  pauseView,
  releaseView,
  sums,
  visible,
} from "../src/state/dashboard";
import { line, point, snapshot, status, tick } from "./make";

const NOW = 1_700_000_100;
let state: Dashboard;
const shown = (id = "connection_1"): number[] => visible(state, column(state, id)).map((one) => one.id);
const metric = (more = {}) => ({
  message_count: 5,
  messages_per_second: 1,
  uptime_seconds: 1,
  error_count: 0,
  status: "connected",
  dropped: 0,
  held: 0,
  ...more,
});

beforeEach(() => {
  state = newDashboard();
  applySnapshot(state, snapshot(), NOW);
});

describe("columns", () => {
  it("come in the order of their numbers, ticks of nobody last", () => {
    const ids = ["connection_10", UNASSIGNED, "connection_2", "connection_1"];
    expect(ids.toSorted(compareIds)).toEqual(["connection_1", "connection_2", "connection_10", UNASSIGNED]);
  });

  it("follow the slots of the status", () => {
    applyStatus(state, status({ connections: { connection_2: line(), connection_3: line() } }));
    expect([...state.columns.keys()]).toEqual(["connection_2", "connection_3"]);
  });

  it("are laid out anew when a status names a connection whose ticks came before", () => {
    applyTicks(state, [tick(1, { connection_id: "connection_9" })], 0);
    const before = state.version.layout;
    applyStatus(state, status({ connections: { connection_9: line() } }));
    expect(state.version.layout).toBeGreaterThan(before);
    expect(shown("connection_9")).toEqual([1]);
  });

  it("has none for ticks of nobody while there are none", () => {
    applyMetrics(state, { [UNASSIGNED]: metric({ message_count: 0 }) });
    applyHistory(state, { t: 1, connections: { [UNASSIGNED]: point() } });
    expect(state.columns.has(UNASSIGNED)).toBe(false);
    applyTicks(state, [tick(1, { connection_id: null })], 0);
    expect(shown(UNASSIGNED)).toEqual([1]);
  });
});

describe("ticks", () => {
  it("show newest first, at most 50", () => {
    applyTicks(
      state,
      Array.from({ length: 80 }, (_, i) => tick(i)),
      0,
    );
    expect(shown()).toHaveLength(50);
    expect(shown()[0]).toBe(79);
  });

  it("that come before the snapshot are held, then shown once and in order", () => {
    beginSync(state);
    applyTicks(state, [tick(8), tick(9), tick(10), tick(11)], 0);
    expect(shown()).toEqual([]);
    applySnapshot(state, snapshot({ ticks: { connection_1: [tick(9), tick(8), tick(7)] } }), NOW);
    expect(shown()).toEqual([11, 10, 9, 8, 7]);
  });

  it("are held back without growing for ever if the snapshot never comes", () => {
    beginSync(state);
    for (let i = 0; i < 5; i += 1)
      applyTicks(
        state,
        Array.from({ length: PENDING_MAX }, (_, n) => tick(n)),
        0,
      );
    expect(state.pending.ticks).toHaveLength(PENDING_MAX);
  });

  it("are the same after any cut between snapshot and stream", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }), (before, overlap) => {
        const all = Array.from({ length: 30 }, (_, i) => tick(i));
        const end = Math.min(30, before + overlap);
        const fresh = newDashboard();
        beginSync(fresh);
        applyTicks(fresh, all.slice(Math.min(before, end)), 0);
        applySnapshot(fresh, snapshot({ ticks: { connection_1: all.slice(0, end).toReversed() } }), NOW);
        const ids = visible(fresh, column(fresh, "connection_1")).map((one) => one.id);
        expect(ids).toEqual(all.map((one) => one.id).toReversed());
      }),
    );
  });

  it("count what the server skipped", () => {
    applyTicks(state, [], 7);
    applyTicks(state, [], 5);
    expect(sums(state).dropped).toBe(12);
  });
});

describe("pause", () => {
  beforeEach(() => {
    applyTicks(state, [tick(1), tick(2)], 0);
    pauseView(state, ["connection_1"], 50);
  });

  it("holds the view and counts what is held", () => {
    applyTicks(state, [tick(3), tick(4, { connection_id: "connection_2" })], 0);
    applyHeld(state, { connection_1: 1204, connection_2: 9 });
    expect(shown()).toEqual([2, 1]);
    expect(shown("connection_2")).toEqual([4]);
    expect(sums(state).held).toBe(1204);
  });

  it("ends with the newest ticks of the server", () => {
    applyResumed(state, ["connection_1"], {
      paused: {},
      ticks: { connection_1: [tick(99), tick(98)] },
      skipped: { connection_1: 40 },
    });
    expect(shown()).toEqual([99, 98]);
    expect(column(state, "connection_1").pausedAt).toBeNull();
    expect(sums(state).held).toBe(0);
  });

  it("outlives a reconnect: same rows, same beginning, and the count goes on", () => {
    applyHeld(state, { connection_1: 100 });
    carryHeld(state);
    beginSync(state);
    applyPaused(state, { connection_1: 70 });
    applySnapshot(state, snapshot({ ticks: { connection_1: [tick(500)] } }), NOW);
    applyHeld(state, { connection_1: 20 });
    expect(shown()).toEqual([2, 1]);
    expect(column(state, "connection_1").pausedAt).toBe(50);
    expect(sums(state).held).toBe(120);
  });

  it("that the server refused is taken back", () => {
    releaseView(state, ["connection_1"]);
    applyTicks(state, [tick(3)], 0);
    expect(shown()).toEqual([3, 2, 1]);
  });

  it("counts as all paused when every enabled column is", () => {
    expect(allPaused(state)).toBe(false);
    applyStatus(state, status({ connections: { connection_1: line(), connection_2: line({ enabled: false }) } }));
    expect(allPaused(state)).toBe(true);
  });
});

describe("filter", () => {
  it("narrows what is here at once, also while paused, and widening brings it back", () => {
    applyTicks(state, [tick(1), tick(2, { symbol: "MSFT" })], 0);
    pauseView(state, ["connection_1"], 50);
    applyFilter(state, { symbols: ["MS*"] });
    expect(shown()).toEqual([2]);
    applyFilter(state, null);
    expect(shown()).toEqual([2, 1]);
  });

  it("is not believed of ticks that came before the server had heard of it", () => {
    beginSync(state);
    applyTicks(state, [tick(8), tick(9, { symbol: "MSFT" })], 0);
    applyFilter(state, { symbols: ["MSFT"] });
    applySnapshot(state, snapshot({ ticks: {} }), NOW);
    expect(shown()).toEqual([9]);
  });

  it("believes the server about ticks sent under it", () => {
    applyFilter(state, { text: "something the server knows" });
    applyTicks(state, [tick(7)], 0);
    expect(shown()).toEqual([7]);
  });
});

describe("clear", () => {
  it("empties one column and leaves the other", () => {
    applyTicks(state, [tick(1), tick(2, { connection_id: "connection_2" })], 0);
    clearView(state, ["connection_1"]);
    expect(shown()).toEqual([]);
    expect(shown("connection_2")).toEqual([2]);
  });
});

describe("figures", () => {
  it("come from whichever message is newest", () => {
    applyMetrics(state, { connection_1: metric({ message_count: 5000, error_count: 3 }), connection_2: metric() });
    expect(sums(state)).toMatchObject({ ticks: 5005, errors: 3 });
    applyStatus(state, status({ connections: { connection_1: line({ message_count: 6000 }) } }));
    expect(sums(state).ticks).toBe(6000);
  });

  it("know the age of the last update from history when the view is filtered empty", () => {
    applyHistory(state, { t: NOW, connections: { connection_1: point({ last_tick_age: 4 }) } });
    expect(column(state, "connection_1").lastUpdate).toBe(NOW - 4);
    applyHistory(state, { t: NOW + 1, connections: { connection_1: point({ last_tick_age: 60 }) } });
    expect(column(state, "connection_1").lastUpdate).toBe(NOW - 4);
  });

  it("take the server's clock", () => {
    applySnapshot(state, snapshot({ server_time: NOW + 30 }), NOW);
    expect(state.clockOffset).toBe(30);
  });
});

describe("notices", () => {
  it("keep one of a kind and five at most", () => {
    const error = (code: string) => ({ code, message: "", required_action: "", will_not: "" });
    let notices = addNotice([], error("a"), 1);
    for (const code of ["b", "a", "c", "d", "e", "f"]) notices = addNotice(notices, error(code), 2);
    expect(notices.map((one) => one.error.code)).toEqual(["a", "c", "d", "e", "f"]);
  });
});

describe("any sequence of messages", () => {
  it("never breaks the state's bounds", () => {
    const step = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 99 }), { maxLength: 30 }).map(
        (ids) => (s: Dashboard) =>
          applyTicks(
            s,
            ids.map((id) => tick(id)),
            0,
          ),
      ),
      fc.constant((s: Dashboard) => beginSync(s)),
      fc.constant((s: Dashboard) => carryHeld(s)),
      fc.constant((s: Dashboard) => applySnapshot(s, snapshot(), NOW)),
      fc.nat(1000).map((held) => (s: Dashboard) => applyHeld(s, { connection_1: held })),
      fc.constant((s: Dashboard) => pauseView(s, [...s.columns.keys()], NOW)),
      fc.constant((s: Dashboard) => releaseView(s, [...s.columns.keys()])),
      fc.constant((s: Dashboard) => clearView(s, [...s.columns.keys()])),
      fc
        .constantFrom<Filter | null>(null, { symbols: ["A*"] }, { types: ["Q"] })
        .map((filter) => (s: Dashboard) => applyFilter(s, filter)),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const any = newDashboard();
        for (const apply of steps) apply(any);
        for (const one of any.columns.values()) {
          expect(one.ring.size).toBeLessThanOrEqual(one.ring.capacity);
          expect(visible(any, one).length).toBeLessThanOrEqual(50);
          if (one.pausedAt === null) expect(one.held).toBe(0);
        }
        expect(any.pending.ticks.length).toBeLessThanOrEqual(PENDING_MAX);
        expect(sums(any).held).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
