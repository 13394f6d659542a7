import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { append, charted, emptyHistory, fromPoints, HISTORY_POINTS } from "../src/state/history";
import { point } from "./make";

describe("history", () => {
  it("keeps the newest 15 minutes of a longer snapshot", () => {
    const points = Array.from({ length: HISTORY_POINTS + 100 }, (_, i) => point({ messages_per_second: i }));
    const history = fromPoints(1000, 1, points);
    expect(history.times).toHaveLength(HISTORY_POINTS);
    expect(history.times.at(-1)).toBe(1000 + HISTORY_POINTS + 99);
    expect(history.series.messages_per_second[0]).toBe(100);
  });

  it("stays ascending, bounded and of one length whatever seconds come", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 1500 }), (seconds) => {
        const history = emptyHistory();
        for (const t of seconds) append(history, t, point());
        expect(history.times.length).toBeLessThanOrEqual(HISTORY_POINTS);
        for (const series of Object.values(history.series)) expect(series).toHaveLength(history.times.length);
        for (let i = 1; i < history.times.length; i += 1) {
          expect(history.times[i]).toBeGreaterThan(history.times[i - 1] ?? Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("breaks the line at a hole", () => {
    const history = fromPoints(10, 1, [point(), point()]);
    append(history, 60, point());
    expect(history.series.messages_per_second).toEqual([25, 25, null, 25]);
  });

  it("charts totals as their rise, and a restart as unknown", () => {
    const history = fromPoints(
      0,
      1,
      [3, 3, 5, 1, 2].map((gaps) => point({ gaps })),
    );
    expect(charted(history, "gaps")).toEqual([null, 0, 2, null, 1]);
    expect(charted(history, "messages_per_second")).toEqual([25, 25, 25, 25, 25]);
  });

  it("takes what a point leaves out as unknown", () => {
    expect(fromPoints(0, 1, [{}]).series.latency_p99).toEqual([null]);
  });
});
