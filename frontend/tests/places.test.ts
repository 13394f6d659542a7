import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isNothing, noPlaces, pending, type Places, refresh, take } from "../src/state/places";

interface Row {
  readonly id: string;
  readonly n: number;
}
const idOf = (row: Row): string => row.id;
const rows = (text: string, n = 0): Row[] => [...text].map((id) => ({ id, n }));
const never = (_: Row): boolean => false;

function taken(text: string): Places<Row> {
  return take(refresh(noPlaces<Row>(), { rows: rows(text), kept: [] }, idOf, never), idOf, 10, true);
}
function told(places: Places<Row>, next: string, kept = "", unknown = never): Places<Row> {
  return refresh(places, { rows: rows(next, 1), kept: rows(kept, 1) }, idOf, unknown);
}
const order = (places: Places<Row>): string => places.places.map((place) => place.id).join("");

describe("places", () => {
  it("keep their order while the server's changes, with new figures", () => {
    const held = told(taken("abcd"), "dbca");
    expect(order(held)).toBe("abcd");
    expect(held.places.map((place) => place.row.n)).toEqual([1, 1, 1, 1]);
    expect(pending(held, idOf)).toEqual({ moved: 2, fresh: 0, gone: 0 });
  });

  it("count one row that rises as one, not all that it passes", () => {
    expect(pending(told(taken("abcdefgh"), "habcdefg"), idOf)).toEqual({ moved: 1, fresh: 0, gone: 0 });
    expect(pending(told(taken("abcd"), "xabcd"), idOf)).toEqual({ moved: 0, fresh: 1, gone: 0 });
  });

  it("keep the row of who ended, and tell it from who is on another page or cannot be asked", () => {
    const held = told(taken("abcd"), "ad", "b", (row) => row.id === "d");
    expect(held.places.map((place) => place.standing)).toEqual(["here", "here", "gone", "here"]);
    const silent = told(taken("abcd"), "a", "", (row) => row.id === "d");
    expect(silent.places.map((place) => place.standing)).toEqual(["here", "gone", "gone", "unknown"]);
    expect(pending(held, idOf)).toEqual({ moved: 0, fresh: 0, gone: 2 });
    expect(told(silent, "abcd").places.every((place) => place.standing === "here")).toBe(true);
  });

  it("say what moved, by how many places, and what is new", () => {
    const next = take(told(taken("abcd"), "xdab", ""), idOf, 20, false);
    expect(order(next)).toBe("xdab");
    expect(next.places.map((place) => [place.fresh, place.moved])).toEqual([
      [true, 0],
      [false, 2],
      [false, 0],
      [false, 0],
    ]);
    expect(next.last).toEqual({ moved: 1, fresh: 1, gone: 1 });
    expect(next.takenAt).toBe(20);
    expect(isNothing(pending(next, idOf))).toBe(true);
  });

  it("say nothing of moves when the question is another", () => {
    const next = take(told(taken("abcd"), "dcx"), idOf, 20, true);
    expect(next.last).toBeNull();
    expect(next.places.every((place) => !place.fresh && place.moved === 0)).toBe(true);
  });

  it("take any order exactly, and count as moved only what changed its place among those that stayed", () => {
    const some = fc.uniqueArray(fc.constantFrom(..."abcdefghij"), { maxLength: 10 });
    fc.assert(
      fc.property(some, some, (before, after) => {
        const held = told(taken(before.join("")), after.join(""));
        const moves = pending(held, idOf);
        const stay = after.filter((id) => before.includes(id));
        expect(moves.fresh).toBe(after.length - stay.length);
        expect(moves.gone).toBe(before.length - stay.length);
        const same = before.filter((id) => stay.includes(id)).join("") === stay.join("");
        expect(moves.moved === 0).toBe(same);
        expect(moves.moved).toBeLessThan(Math.max(1, stay.length));
        const next = take(held, idOf, 1, false);
        expect(order(next)).toBe(after.join(""));
        expect(next.places.filter((place) => place.moved !== 0).length).toBe(moves.moved);
      }),
    );
  });
});
