import { describe, expect, it } from "vitest";
import {
  EMPTY_LOG,
  forgotten,
  type FrameLine,
  FRAMES_MAX,
  held,
  NO_FILTER,
  pause,
  shown,
  take,
  type TraceLog,
} from "../src/state/trace-log";

function line(text: string, more: Partial<FrameLine> = {}): FrameLine {
  const base = { at: 1, bytes: text.length, cut: false, redacted: false, connection_id: "c-1" };
  return { type: "frame", direction: "out", text, ...base, ...more };
}

function numbers(log: TraceLog, filter = NO_FILTER, limit = 100): number[] {
  return shown(log, filter, limit).map((frame) => frame.number);
}

describe("a trace's frames", () => {
  it("are shown newest first, at most so many", () => {
    const log = take(take(EMPTY_LOG, [line("a"), line("b")]), [line("c")]);
    expect(numbers(log)).toEqual([3, 2, 1]);
    expect(numbers(log, NO_FILTER, 2)).toEqual([3, 2]);
    expect([log.total, log.bytes]).toEqual([3, 3]);
  });

  it("stand still during a pause, which counts what comes", () => {
    const paused = take(pause(take(EMPTY_LOG, [line("a")]), 5), [line("b"), line("c")]);
    expect([numbers(paused), held(paused), paused.pausedAt]).toEqual([[1], 2, 5]);
    const resumed = pause(paused, 9);
    expect([numbers(resumed), held(resumed), resumed.pausedAt]).toEqual([[3, 2, 1], 0, null]);
  });

  it("are bounded, and what was forgotten is counted", () => {
    const log = take(
      EMPTY_LOG,
      Array.from({ length: FRAMES_MAX + 7 }, () => line("x")),
    );
    expect([log.frames.length, forgotten(log), log.total]).toEqual([FRAMES_MAX, 7, FRAMES_MAX + 7]);
    expect(numbers(log, NO_FILTER, 1)).toEqual([FRAMES_MAX + 7]);
  });

  it("have the types of their messages, wherever those stand", () => {
    const texts: [FrameLine, string[]][] = [
      [line('{"sequence":4,"type":"pong","timestamp":1}'), ["pong"]],
      [line('{"id":1,"type":"ping"}', { direction: "in" }), ["ping"]],
      [line('7\n{"type":"tick"}\n{"type":"tick"}\n{"type":"gap"}'), ["tick", "gap"]],
      [line("close 4503 force_disconnect", { direction: "control" }), ["close"]],
      [line('{"type":7}'), ["?"]],
      [line("<hidden>"), ["?"]],
      [line(""), ["?"]],
    ];
    for (const [frame, kinds] of texts) expect(take(EMPTY_LOG, [frame]).frames[0]?.kinds).toEqual(kinds);
  });

  it("are filtered by direction, type and text together", () => {
    const log = take(EMPTY_LOG, [
      line('{"type":"ping"}', { direction: "in" }),
      line('{"type":"pong","x":"Find"}'),
      line('{"type":"reply","x":"find"}'),
    ]);
    expect(numbers(log, { ...NO_FILTER, direction: "in" })).toEqual([1]);
    expect(numbers(log, { ...NO_FILTER, text: "FIND" })).toEqual([3, 2]);
    expect(numbers(log, { direction: "out", kind: "reply", text: "find" })).toEqual([3]);
    expect(numbers(log, { direction: "in", kind: "reply", text: "" })).toEqual([]);
  });
});
