import { describe, expect, it } from "vitest";

import * as own from "../src/state/quote-edits";
import { keep, revive } from "../src/state/quote-kept";
import type { FieldState, QuoteDocument } from "../src/state/quote-wire";

const NOTES: FieldState = { value: "old", revision: 1, by: "ada", at: 1 };
const HEAD = { status: "draft", created_at: 1, created_by: "ada", updated_at: 1, expires_at: null } as const;
const QUOTE: QuoteDocument = { version: 1, quote: HEAD, fields: { notes: NOTES }, editable: true };

function typed(value: string, op = "o-1"): own.Edits {
  return own.commit(own.begin(own.NO_EDITS, QUOTE, "notes"), QUOTE, "notes", value, op);
}

describe("edits that outlive the page", () => {
  it("come back as they were, with their names, conflicts and what was entered since", () => {
    const waiting = typed("mine");
    expect(revive(keep(waiting, "bob"), "bob")).toEqual(waiting);
    const theirs = { ...NOTES, value: "theirs", revision: 2 };
    const conflict = own.conflicted(own.sent(waiting, "o-1"), "o-1", theirs);
    expect(revive(keep(conflict, "bob"), "bob")).toEqual(conflict);
    const refused = own.refused(own.sent(waiting, "o-1"), "o-1", "No.");
    expect(revive(keep(refused, "bob"), "bob")).toEqual(refused);
  });

  it("are in doubt if they had been sent: the same again under the same name", () => {
    const sent = own.commit(own.sent(typed("mine"), "o-1"), QUOTE, "notes", "more", "o-2");
    const back = revive(keep(sent, "bob"), "bob");
    expect(own.due(back, 0).map((edit) => [edit.opId, edit.phase, edit.next])).toEqual([["o-1", "doubt", "more"]]);
  });

  it("are nothing once they are stored, unless something was entered since", () => {
    const stored = own.done(own.sent(typed("mine"), "o-1"), QUOTE, "o-1", 2);
    expect(keep(stored, "bob")).toBeNull();
    expect(keep(own.NO_EDITS, "bob")).toBeNull();
    const more = own.commit(stored, QUOTE, "notes", "more", "o-2");
    expect(own.shownValue(revive(keep(more, "bob"), "bob"), QUOTE, "notes")).toBe("more");
  });

  it("of somebody else, or that cannot be read, are not taken", () => {
    const kept = keep(typed("mine"), "bob") ?? "";
    expect(revive(kept, "ada")).toBe(own.NO_EDITS);
    expect(revive(null, "bob")).toBe(own.NO_EDITS);
    for (const text of ["{", "[]", '{"username":"bob"}']) expect(revive(text, "bob").edits.size).toBe(0);
    for (const name of ["opId", "field", "value", "base", "phase", "nextOpId", "revision", "reason"]) {
      expect(revive(kept.replace(`"${name}"`, '"x"'), "bob").edits.size).toBe(0);
    }
    expect(revive(kept.replace('"queued"', '"conflict"'), "bob").edits.size).toBe(0);
    expect(revive(kept.replace('"queued"', '"odd"'), "bob").edits.size).toBe(0);
  });
});
