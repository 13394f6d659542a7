import { describe, expect, it } from "vitest";

import * as own from "../src/state/quote-edits";
import type { FieldState, QuoteDocument } from "../src/state/quote-wire";

function quote(value: string | null = "old", revision = 1, by = "ada"): QuoteDocument {
  const notes: FieldState = { value, revision, by, at: 1 };
  const head = { status: "draft", created_at: 1, created_by: "ada", updated_at: 1, expires_at: null } as const;
  return { version: revision, quote: head, fields: { notes }, editable: true };
}

function typed(value: string, from = quote(), op = "o-1"): own.Edits {
  return own.commit(own.begin(own.NO_EDITS, from, "notes"), from, "notes", value, op);
}

const only = (edits: own.Edits): own.Edit => {
  const edit = edits.edits.get("notes");
  if (edit === undefined) throw new Error("there is no edit");
  return edit;
};

describe("an edit on its way", () => {
  it("is sent with the revision that the person saw when they began, and over when the room shows it", () => {
    let edits = typed("mine");
    expect(own.due(edits, 0).map((edit) => [edit.value, edit.base, edit.opId])).toEqual([["mine", 1, "o-1"]]);
    edits = own.sent(edits, "o-1");
    expect(own.due(edits, 99)).toEqual([]);
    edits = own.done(edits, quote(), "o-1", 2);
    // The reply was quicker than the room: the old value must not flash up.
    expect(own.shownValue(edits, quote(), "notes")).toBe("mine");
    expect(own.waitingCount(edits)).toBe(0);
    edits = own.settle(edits, quote("mine", 2));
    expect(edits.edits.size).toBe(0);
  });

  it("is none if the person ends where they began, whatever others did meanwhile", () => {
    const begun = own.begin(own.NO_EDITS, quote(), "notes");
    expect(own.commit(begun, quote("theirs", 2), "notes", "old", "o-1").edits.size).toBe(0);
  });

  it("is followed by what was entered while it was away, upon its own revision", () => {
    let edits = own.sent(typed("one"), "o-1");
    edits = own.commit(edits, quote(), "notes", "two", "o-2");
    edits = own.commit(edits, quote(), "notes", "three", "o-3");
    expect(own.shownValue(edits, quote(), "notes")).toBe("three");
    edits = own.done(edits, quote("one", 2, "me"), "o-1", 2);
    expect(own.due(edits, 0).map((edit) => [edit.value, edit.base, edit.opId])).toEqual([["three", 2, "o-3"]]);
  });

  it("does not make a conflict of one's own typing", () => {
    let edits = own.sent(typed("one"), "o-1");
    edits = own.begin(edits, quote(), "notes");
    edits = own.done(edits, quote("one", 2, "me"), "o-1", 2);
    edits = own.commit(edits, quote("one", 2, "me"), "notes", "one more", "o-2");
    expect(only(edits)).toMatchObject({ phase: "queued", base: 2 });
  });

  it("of which nobody knows whether it was stored goes again under the same name, later each time", () => {
    let edits = own.doubt(own.sent(typed("mine"), "o-1"), "o-1", 1_000, null);
    expect(own.due(edits, 1_000)).toEqual([]);
    expect(own.dueAt(edits)).toBe(1_500);
    edits = own.doubt(own.sent(edits, "o-1"), "o-1", 2_000, null);
    expect(own.dueAt(edits)).toBe(3_000);
    expect(own.due(edits, 3_000).map((edit) => [edit.opId, edit.base])).toEqual([["o-1", 1]]);
    edits = own.doubt(own.sent(edits, "o-1"), "o-1", 4_000, 70);
    expect(own.dueAt(edits)).toBe(4_070);
  });

  it("that the server will not have stays to be mended, with the reason", () => {
    const edits = own.refused(own.sent(typed("mine"), "o-1"), "o-1", "too long");
    expect(own.shownValue(edits, quote(), "notes")).toBe("mine");
    expect([own.due(edits, 99).length, own.waitingCount(edits), only(edits).reason]).toEqual([0, 0, "too long"]);
    const mended = own.commit(own.begin(edits, quote(), "notes"), quote(), "notes", "ok", "o-2");
    expect(only(mended)).toMatchObject({ phase: "queued", opId: "o-2", value: "ok" });
  });
});

describe("offline", () => {
  it("collects one edit per field, the newest, upon what the person saw", () => {
    const edits = own.commit(own.begin(typed("one"), quote(), "notes"), quote(), "notes", "two", "o-2");
    expect([own.waitingCount(edits), only(edits).value, only(edits).base]).toEqual([1, "two", 1]);
  });

  it("sends what was under way again, at once and under the same name", () => {
    const edits = own.cutEdits(own.sent(typed("mine"), "o-1"));
    expect(own.due(edits, 0).map((edit) => edit.opId)).toEqual(["o-1"]);
    // Whether somebody else has been there decides the server: it may be our own edit that is stored.
    expect(only(own.settle(edits, quote("mine", 2, "me"))).phase).toBe("doubt");
  });

  it("makes a conflict of an edit whose field somebody else has changed", () => {
    const edits = own.settle(typed("mine"), quote("theirs", 2, "bob"));
    expect(own.due(edits, 99)).toEqual([]);
    expect(only(edits)).toMatchObject({ phase: "conflict", value: "mine", theirs: { value: "theirs", by: "bob" } });
  });

  it("has nothing to decide if both wrote the same", () => {
    expect(own.settle(typed("same"), quote("same", 2, "bob")).edits.size).toBe(0);
  });
});

describe("a conflict", () => {
  const open = (): own.Edits => own.settle(typed("mine"), quote("theirs", 2, "bob"));

  it("is told by the server with what stands there now", () => {
    const theirs = { value: "theirs", revision: 2, by: "bob", at: 5 };
    const edits = own.conflicted(
      own.commit(own.sent(typed("one"), "o-1"), quote(), "notes", "two", "o-2"),
      "o-1",
      theirs,
    );
    expect(only(edits)).toMatchObject({ phase: "conflict", value: "two", theirs });
  });

  it("shows the newest of what others wrote", () => {
    expect(only(own.settle(open(), quote("newer", 3, "cy"))).theirs).toMatchObject({ value: "newer", revision: 3 });
  });

  it("ends with theirs: nothing is sent", () => {
    expect(own.takeTheirs(open(), "notes").edits.size).toBe(0);
  });

  it("ends with mine: a new edit upon what the person has seen", () => {
    const edits = own.putMine(open(), "notes", "o-9");
    expect(own.due(edits, 0).map((edit) => [edit.opId, edit.base, edit.value])).toEqual([["o-9", 2, "mine"]]);
  });

  it("does not end by itself", () => {
    let edits = own.cutEdits(open());
    edits = own.settle(edits, quote("newer", 3, "cy"));
    expect([own.conflicts(edits).length, own.due(edits, 99_999).length]).toEqual([1, 0]);
  });
});
