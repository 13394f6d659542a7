import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RoomMessage } from "../src/client/index";
import { readTick } from "../src/state/market-tick";
import { MAX_SYMBOLS } from "../src/state/symbols";
import {
  add,
  askAgain,
  changeOf,
  EMPTY,
  enter,
  forgiveAll,
  HISTORY_S,
  isStale,
  isUnknown,
  lose,
  pause,
  type Quote,
  receive,
  refuse,
  remove,
  resume,
  rowOf,
  shown,
  symbolsOf,
  type WatchList,
} from "../src/state/watch-list";

const quote = (price: number, taken: number): Quote => ({
  price,
  volume: 1,
  at: taken,
  taken,
  source: "s",
  owner: null,
});

const SYMBOLS = ["A", "B", "C"];
const symbol = fc.constantFrom(...SYMBOLS);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("tick"),
      symbol,
      price: fc.integer({ min: 1, max: 9 }),
      wait: fc.integer({ min: 0, max: 90 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("add"), symbol }) },
  fc.record({ do: fc.constantFrom("remove", "enter", "refuse", "lose"), symbol }),
  fc.record({ do: fc.constantFrom("pause", "resume", "askAgain", "forgive"), symbol }),
);
type Step = { do: string; symbol: string; price?: number; wait?: number };

function apply(list: WatchList, one: Step, now: number): WatchList {
  if (one.do === "tick") return receive(list, one.symbol, quote(one.price ?? 1, now));
  if (one.do === "add") return add(list, one.symbol);
  if (one.do === "remove") return remove(list, one.symbol);
  if (one.do === "enter") return enter(list, one.symbol, now);
  if (one.do === "refuse") return refuse(list, one.symbol, { code: "permission_denied", message: "no" });
  if (one.do === "lose") return lose(list, one.symbol, { at: now, reason: "epoch_changed", atLeast: 2 });
  if (one.do === "pause") return pause(list, now);
  if (one.do === "resume") return resume(list);
  return one.do === "forgive" ? forgiveAll(list) : askAgain(list);
}

describe("the watch list under any sequence", () => {
  it("holds each symbol once, in the order added, with the newest tick and a bounded history", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let list = EMPTY;
        let now = 1000;
        const order: string[] = [];
        const newest = new Map<string, number>();
        for (const one of steps as Step[]) {
          now += one.wait ?? 0;
          list = apply(list, one, now);
          if (one.do === "add" && !order.includes(one.symbol)) order.push(one.symbol);
          if (one.do === "remove" && order.includes(one.symbol)) {
            order.splice(order.indexOf(one.symbol), 1);
            newest.delete(one.symbol);
          }
          if (one.do === "tick" && order.includes(one.symbol)) newest.set(one.symbol, one.price ?? 1);
          expect(symbolsOf(list)).toEqual(order);
          for (const row of list.rows) {
            expect(row.tick?.price).toBe(newest.get(row.symbol));
            const times = row.points.map((point) => point.at);
            expect(times).toEqual([...times].sort((a, b) => a - b));
            if (row.tick) expect(row.points.at(-1)?.at ?? now).toBeLessThanOrEqual(now);
            expect(times.every((at) => at > (times.at(-1) ?? 0) - HISTORY_S - 90)).toBe(true);
          }
        }
      }),
    );
  });

  it("shows nothing new while paused, counts what is held, and everything once resumed", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(symbol, { maxLength: 30 }), (before, after) => {
        let list = EMPTY;
        for (const one of before as Step[]) list = apply(list, one, 1000);
        list = pause(resume(list), 2000);
        const seen = new Map(shown(list).map((row) => [row.symbol, row.tick]));
        let held = 0;
        for (const [i, name] of after.entries()) {
          if (seen.get(name)) held += 1;
          list = receive(list, name, quote(50 + i, 2001 + i));
          for (const row of shown(list)) if (seen.get(row.symbol)) expect(row.tick).toBe(seen.get(row.symbol));
        }
        expect(list.paused?.held ?? -1).toBeGreaterThanOrEqual(held);
        expect(shown(resume(list))).toBe(resume(list).rows);
      }),
    );
  });
});

describe("a row", () => {
  const one = (prices: number[]): WatchList =>
    prices.reduce((list, price, i) => receive(list, "A", quote(price, 100 + i)), enter(add(EMPTY, "A"), "A", 100));

  it("tells the direction from the tick before, the change from the first", () => {
    const row = rowOf(one([10, 12, 11]), "A");
    expect(row?.direction).toBe("down");
    expect(row && changeOf(row)).toMatchObject({ amount: 1, percent: 10 });
    expect(rowOf(one([10, 10]), "A")?.direction).toBe("flat");
    const first = rowOf(one([10]), "A");
    expect(first?.direction).toBe("first");
    expect(first && changeOf(first)).toBeNull();
  });

  it("is stale by the older of exchange time and server time", () => {
    const old = receive(add(EMPTY, "A"), "A", { ...quote(1, 1000), at: 900 });
    const row = rowOf(old, "A");
    expect(row && isStale(row, 1000)).toBe(true);
    const future = rowOf(receive(add(EMPTY, "A"), "A", { ...quote(1, 1000), at: 2000 }), "A");
    expect(future && isStale(future, 1014)).toBe(false);
    expect(future && isStale(future, 1016)).toBe(true);
  });

  it("is unknown only after the server has let us in and shown nothing", () => {
    const asked = add(EMPTY, "A");
    const entered = enter(asked, "A", 100);
    const unknown = (list: WatchList, now: number): boolean => list.rows.some((row) => isUnknown(row, now));
    expect(unknown(asked, 1e9)).toBe(false);
    expect(unknown(entered, 101)).toBe(false);
    expect(unknown(entered, 103)).toBe(true);
    expect(unknown(receive(entered, "A", quote(1, 100)), 103)).toBe(false);
  });

  it("breaks its line where ticks were lost, and sums what was missed until the reader has seen it", () => {
    let list = one([10, 11]);
    list = lose(list, "A", { at: 102, reason: "history_trimmed", atLeast: 17 });
    list = lose(list, "A", { at: 103, reason: "epoch_changed", atLeast: null });
    list = receive(list, "A", quote(12, 104));
    expect(rowOf(list, "A")?.loss).toEqual({ at: 103, reason: "epoch_changed", atLeast: 17 });
    expect(rowOf(list, "A")?.points.map((point) => point.price)).toEqual([10, 11, null, null, 12]);
    expect(rowOf(forgiveAll(list), "A")?.loss).toBeNull();
  });

  it("stays refused through a reconnect; the others are asked for again", () => {
    let list = enter(add(add(EMPTY, "A"), "B"), "B", 1);
    list = askAgain(refuse(list, "A", { code: "permission_revoked", message: "gone" }));
    expect(list.rows.map((row) => row.standing)).toEqual(["refused", "asking"]);
  });

  it("does not come when the list is full", () => {
    let list = EMPTY;
    for (let i = 0; i < MAX_SYMBOLS; i += 1) list = add(list, `S${i}`);
    expect(add(list, "ONE")).toBe(list);
    expect(symbolsOf(add(remove(list, "S3"), "ONE", 0))[0]).toBe("ONE");
  });
});

describe("reading a tick", () => {
  const message = (data: unknown, kind = "tick"): RoomMessage =>
    ({
      event: "message",
      roomId: "market:A",
      kind,
      epoch: "e",
      offset: 1,
      timestamp: 5,
      fields: { data },
    }) as RoomMessage;

  it("takes what the server sends and leaves out everything else", () => {
    const data = {
      symbol: "A",
      price: 2,
      volume: 3,
      timestamp: 4,
      source: "x",
      connection_id: "connection_1",
      event: "T",
    };
    expect(readTick(message(data))).toEqual({
      price: 2,
      volume: 3,
      at: 4,
      taken: 5,
      source: "x",
      owner: "connection_1",
    });
    expect(readTick(message({ ...data, connection_id: null }))?.owner).toBeNull();
    expect(readTick(message(data, "other"))).toBeNull();
    fc.assert(
      fc.property(fc.jsonValue(), (junk) => {
        const tick = readTick(message(junk));
        if (tick !== null) expect(tick.price).toBeGreaterThan(0);
      }),
    );
    for (const wrong of [{ ...data, price: "2" }, { ...data, price: 0 }, { ...data, volume: null }, null, [], 7]) {
      expect(readTick(message(wrong))).toBeNull();
    }
  });
});
