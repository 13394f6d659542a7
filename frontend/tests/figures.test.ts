import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { labelText, readLabels, withNew } from "../src/state/board";
import { AGAIN_S, EMPTY, keyOf, merged, newest, since, window } from "../src/state/figures";

const answer = (times: number[], ...values: (number | null)[][]) => ({
  times,
  series: values.map((each) => ({ values: each, lines: 1 })),
});

describe("figures", () => {
  test("an answer that follows replaces the steps it covers and keeps those before", () => {
    let memory = merged(EMPTY, ["a"], answer([100, 105, 110], [1, 2, null]), since(EMPTY, ["a"]));
    expect(since(memory, ["a"])).toBe(110 - AGAIN_S);
    memory = merged(memory, ["a"], answer([105, 110, 115], [2, 3, 4]), 100);
    expect(memory.times).toEqual([100, 105, 110, 115]);
    expect(memory.values.get("a")).toEqual([1, 2, 3, 4]);
    expect(window(memory, "a", 10)).toEqual({ times: [110, 115], values: [3, 4] });
  });

  test("a figure that nothing is known of asks for the whole", () => {
    const memory = merged(EMPTY, ["a"], answer([100], [1]), 0);
    expect(since(memory, ["a", "b"])).toBe(0);
    expect(newest(memory, "b")).toBeNull();
  });

  test("the newest value is the last one there was, with its time", () => {
    const memory = merged(EMPTY, ["a"], answer([100, 105, 110], [1, 2, null]), 0);
    expect(newest(memory, "a")).toEqual({ at: 105, value: 2 });
  });

  test("a quarter of an hour is kept", () => {
    const times = Array.from({ length: 400 }, (_, i) => i * 5);
    const memory = merged(EMPTY, ["a"], answer(times, times), 0);
    expect(memory.times).toHaveLength(180);
    expect(memory.values.get("a")).toEqual(memory.times);
  });

  test("the order of labels makes no other figure", () => {
    const figure = { metric: "m", total: "sum", shown: "value" };
    expect(keyOf({ ...figure, labels: { a: "1", b: "2" } })).toBe(keyOf({ ...figure, labels: { b: "2", a: "1" } }));
    expect(keyOf({ ...figure, labels: { a: "1" } })).not.toBe(keyOf({ ...figure, labels: { a: "2" } }));
  });
});

describe("labels", () => {
  test("what was written is read again", () => {
    const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,8}$/);
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.string({ minLength: 1, maxLength: 12, unit: "binary" }), { maxKeys: 5 }),
        (labels) => {
          expect(readLabels(labelText(labels))).toEqual(
            Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, value])),
          );
        },
      ),
    );
  });

  test("plain values need no quotes, and nonsense is refused", () => {
    expect(readLabels('status=500, node="a"')).toEqual({ status: "500", node: "a" });
    expect(readLabels(" ")).toEqual({});
    for (const text of ["status", "=5", "a=1,,b=2", 'a="1', "a=", "1a=2", 'a="\\x"'])
      expect(readLabels(text)).toBeNull();
  });
});

test("a new widget has a name and a place of its own", () => {
  const what = { kind: "chart", title: "", figures: [], range_s: 300 } as const;
  const widgets = withNew(withNew(withNew([], what), what), what);
  expect(widgets.map(({ id, x, y }) => [id, x, y])).toEqual([
    ["w1", 0, 0],
    ["w2", 6, 0],
    ["w3", 0, 3],
  ]);
});
