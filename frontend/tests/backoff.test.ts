import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Backoff, connected, FIRST_DELAY_MS, FRESH, LAST_DELAY_MS, lost, STABLE_MS } from "../src/socket/backoff";

describe("backoff", () => {
  it("waits 0.5 to 20 s whatever happens", () => {
    const step = fc.record({
      up: fc.boolean(),
      wait: fc.nat(200_000),
      chance: fc.double({ min: 0, max: 0.999, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let backoff: Backoff = FRESH;
        let now = 0;
        for (const { up, wait, chance } of steps) {
          if (up) backoff = connected(backoff, now);
          now += wait;
          const next = lost(backoff, now, chance);
          expect(next.delayMs).toBeGreaterThanOrEqual(FIRST_DELAY_MS);
          expect(next.delayMs).toBeLessThanOrEqual(LAST_DELAY_MS);
          backoff = next.backoff;
        }
      }),
    );
  });

  it("grows while the line does not hold for a minute, and starts anew after one", () => {
    let backoff: Backoff = FRESH;
    const longest = (): number => {
      const next = lost(backoff, 0, 0.999_999);
      backoff = next.backoff;
      return Math.round(next.delayMs);
    };
    expect([longest(), longest(), longest()]).toEqual([1000, 2000, 4000]);
    const short = lost(connected(backoff, 0), STABLE_MS - 1, 0.999_999);
    expect(Math.round(short.delayMs)).toBe(8000);
    const stable = lost(connected(backoff, 0), STABLE_MS, 0.999_999);
    expect(Math.round(stable.delayMs)).toBe(1000);
  });
});
