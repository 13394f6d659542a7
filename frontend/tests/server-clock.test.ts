import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newClock, observe } from "../src/state/server-clock";

describe("the server's clock", () => {
  it("is never ahead of the truth, and near it once a quick message has come", () => {
    const truth = 12.5;
    const message = fc.record({
      wait: fc.double({ min: 0, max: 5, noNaN: true }),
      late: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(message), (messages) => {
        let local = 1000;
        let clock = newClock(truth - 1, local);
        for (const { wait, late } of messages) {
          local += wait;
          clock = observe(clock, local + truth - late, local);
          expect(clock.offset).toBeLessThanOrEqual(truth + 1e-9);
          expect(clock.offset).toBeGreaterThanOrEqual(truth - 1 - 1e-9);
        }
        local += 0.1;
        expect(observe(clock, local + truth, local).offset).toBeCloseTo(truth, 6);
      }),
    );
  });

  it("is not set back by replayed messages, but follows a slow correction", () => {
    let clock = newClock(0, 0);
    clock = observe(clock, 10 - 50, 10);
    expect(clock.offset).toBe(0);
    for (let local = 11; local < 200; local += 1) clock = observe(clock, local - 0.5, local);
    expect(clock.offset).toBe(-0.5);
  });
});
