import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  added,
  type Box,
  COLUMNS,
  moved,
  overlap,
  resized,
  rows,
  settled,
  stepped,
  TALLEST,
  without,
} from "../src/state/grid";

const size = fc.record({ w: fc.integer({ min: 1, max: COLUMNS }), h: fc.integer({ min: 1, max: TALLEST }) });
const grid = fc
  .array(size, { maxLength: 12 })
  .map((sizes) =>
    sizes.reduce<readonly Box[]>((boxes, each, i) => added(boxes, { id: `b${i}`, x: 0, y: 0, ...each }), []),
  );
const step = fc.record({
  which: fc.nat(11),
  what: fc.constantFrom("move", "size", "step", "remove"),
  a: fc.integer({ min: -3, max: 15 }),
  b: fc.integer({ min: -3, max: 40 }),
});

function expectSound(boxes: readonly Box[]): void {
  for (const box of boxes) {
    expect(box.x >= 0 && box.x + box.w <= COLUMNS && box.y >= 0).toBe(true);
    for (const other of boxes) if (other.id !== box.id) expect(overlap(box, other)).toBe(false);
    // Nothing floats: one row higher is the top, or somebody else.
    const higher = { ...box, y: box.y - 1 };
    if (box.y > 0) expect(boxes.some((other) => other.id !== box.id && overlap(higher, other))).toBe(true);
  }
}

describe("grid", () => {
  test("whatever is done to it, nothing overlaps, floats, leaves the grid or is lost", () => {
    fc.assert(
      fc.property(grid, fc.array(step, { maxLength: 20 }), (start, steps) => {
        let boxes = start;
        for (const { which, what, a, b } of steps) {
          const id = `b${which}`;
          const before = boxes.map((box) => box.id);
          if (what === "move") boxes = moved(boxes, id, a, b);
          else if (what === "step") boxes = stepped(boxes, id, Math.sign(a), Math.sign(b));
          else if (what === "size") boxes = resized(boxes, id, a, b);
          else boxes = without(boxes, id);
          expect(boxes.map((box) => box.id)).toEqual(
            what === "remove" ? before.filter((other) => other !== id) : before,
          );
          expectSound(boxes);
          expect(settled(boxes)).toEqual(boxes);
        }
      }),
    );
  });

  test("one that is moved pushes those in its way down", () => {
    const boxes = [
      { id: "a", x: 0, y: 0, w: 6, h: 2 },
      { id: "b", x: 6, y: 0, w: 6, h: 2 },
      { id: "c", x: 0, y: 2, w: 12, h: 1 },
    ];
    expect(moved(boxes, "c", 0, 0)).toEqual([
      { id: "a", x: 0, y: 1, w: 6, h: 2 },
      { id: "b", x: 6, y: 1, w: 6, h: 2 },
      { id: "c", x: 0, y: 0, w: 12, h: 1 },
    ]);
    expect(rows(boxes)).toBe(3);
  });

  test("keys move one past its neighbours and back", () => {
    const boxes = [
      { id: "a", x: 0, y: 0, w: 6, h: 3 },
      { id: "b", x: 0, y: 3, w: 6, h: 2 },
    ];
    const down = stepped(boxes, "a", 0, 1);
    expect(down.map((box) => box.y)).toEqual([2, 0]);
    expect(stepped(down, "a", 0, -1)).toEqual(boxes);
    expect(stepped(boxes, "b", 0, 1)).toEqual(boxes);
    expect(stepped(boxes, "b", 1, 0).map((box) => box.x)).toEqual([0, 1]);
    expect(stepped(boxes, "nobody", 1, 0)).toEqual(boxes);
  });

  test("a wider one moves its neighbour below it", () => {
    const boxes = [
      { id: "a", x: 0, y: 0, w: 6, h: 2 },
      { id: "b", x: 6, y: 0, w: 6, h: 2 },
    ];
    expect(resized(boxes, "a", 8, 1)).toEqual([
      { id: "a", x: 0, y: 0, w: 8, h: 1 },
      { id: "b", x: 6, y: 1, w: 6, h: 2 },
    ]);
  });
});
