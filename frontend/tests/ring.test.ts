import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ring } from "../src/state/ring";

describe("Ring", () => {
  it("holds exactly the newest items whatever is pushed and cleared", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.option(fc.integer(), { nil: "clear" as const, freq: 10 })),
        (capacity, steps) => {
          const ring = new Ring<number>(capacity);
          let model: number[] = [];
          let pushed = 0;
          for (const step of steps) {
            if (step === "clear") {
              ring.clear();
              model = [];
            } else {
              ring.push(step);
              pushed += 1;
              model = [step, ...model].slice(0, capacity);
            }
          }
          expect(ring.newest(capacity)).toEqual(model);
          expect(ring.size).toBe(model.length);
          expect(ring.total).toBe(pushed);
          expect(ring.at(model.length)).toBeUndefined();
        },
      ),
    );
  });

  it("finds as many passing items as asked for, newest first", () => {
    const ring = new Ring<number>(10);
    for (let i = 0; i < 25; i += 1) ring.push(i);
    expect(ring.newest(3, (n) => n % 2 === 0)).toEqual([24, 22, 20]);
  });

  it("refuses a capacity that holds nothing", () => {
    expect(() => new Ring(0)).toThrow(RangeError);
  });
});
