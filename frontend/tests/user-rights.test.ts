import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isEffective, isWithin, type OwnRule, ruleOf, same, withRule } from "../src/state/user-rights";

const BOOK = { user: ["a"], moderator: ["a", "b"], admin: ["a", "b", "c"] };
const rights = { role: "moderator", grants: ["c"], denials: ["a"] };

describe("what somebody may do", () => {
  it("is the role's set, plus grants, minus denials", () => {
    expect(["a", "b", "c", "d"].map((name) => isEffective(rights, name, BOOK))).toEqual([false, true, true, false]);
    expect(["a", "b", "c"].map((name) => ruleOf(rights, name))).toEqual(["denial", "role", "grant"]);
  });

  it("has one rule for each permission, whatever was chosen before", () => {
    const rule = fc.constantFrom<OwnRule>("role", "grant", "denial");
    const step = fc.tuple(fc.constantFrom("a", "b", "c"), rule);
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let now = rights as { role: string; grants: readonly string[]; denials: readonly string[] };
        for (const [name, chosen] of steps) {
          now = withRule(now, name, chosen);
          expect(ruleOf(now, name)).toBe(chosen);
        }
        expect(now.grants.filter((name) => now.denials.includes(name))).toEqual([]);
      }),
    );
  });

  it("is the same in any order", () => {
    expect(
      same({ role: "user", grants: ["a", "b"], denials: [] }, { role: "user", grants: ["b", "a"], denials: [] }),
    ).toBe(true);
    expect(same(rights, withRule(rights, "b", "grant"))).toBe(false);
  });

  it("reaches up to one's own role and no further", () => {
    expect(["user", "moderator", "admin", "root"].map((role) => isWithin(role, "moderator", BOOK))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
