/**
 * What somebody may do: by role, by a rule of their own, in effect; and how far whoever edits it reaches. Pure. The server
 * decides; this says beforehand what it will say. Source: src/tidewire/accounts/user_rules.py.
 */

export type OwnRule = "role" | "grant" | "denial";

export interface Rights {
  readonly role: string;
  readonly grants: readonly string[];
  readonly denials: readonly string[];
}

/** Role -> its permissions, in ascending order of roles. */
export type RuleBook = Readonly<Record<string, readonly string[]>>;

export function ruleOf(rights: Rights, permission: string): OwnRule {
  if (rights.denials.includes(permission)) return "denial";
  return rights.grants.includes(permission) ? "grant" : "role";
}

export function withRule(rights: Rights, permission: string, rule: OwnRule): Rights {
  const without = (list: readonly string[]): string[] => list.filter((one) => one !== permission);
  const also = (list: readonly string[], wanted: boolean): string[] =>
    wanted ? [...without(list), permission].sort() : without(list);
  return { ...rights, grants: also(rights.grants, rule === "grant"), denials: also(rights.denials, rule === "denial") };
}

export function isEffective(rights: Rights, permission: string, book: RuleBook): boolean {
  const rule = ruleOf(rights, permission);
  return rule === "role" ? (book[rights.role] ?? []).includes(permission) : rule === "grant";
}

export function same(one: Rights, other: Rights): boolean {
  const text = (rights: Rights): string =>
    JSON.stringify([rights.role, [...rights.grants].sort(), [...rights.denials].sort()]);
  return text(one) === text(other);
}

/** Whether `role` is at or below `own`. */
export function isWithin(role: string, own: string, book: RuleBook): boolean {
  const order = Object.keys(book);
  return order.includes(role) && order.indexOf(role) <= order.indexOf(own);
}
