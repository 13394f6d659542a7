/** Role, grants and denials of a user with what results from them, before it is saved. It must not know the server. */
import type { Rules, UserRow } from "../socket/users-api";
import { isEffective, isWithin, type OwnRule, type Rights, ruleOf, same, withRule } from "../state/user-rights";
import { element, find, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { t } from "./text";

const RULES: readonly OwnRule[] = ["role", "grant", "denial"];

export class RightsForm {
  private readonly form = part<HTMLFormElement>(document, "rights");
  private readonly role = find<HTMLSelectElement>(document, "#role");
  private readonly body = part(document, "permissions");
  private readonly failed = part(document, "rights-error");
  private readonly save = part<HTMLButtonElement>(document, "save");
  private readonly undo = part<HTMLButtonElement>(document, "undo");
  private rules: Rules | null = null;
  private user: UserRow | null = null;
  /** What the person has changed, over which version; null: nothing. */
  private draft: { readonly rights: Rights; readonly over: UserRow } | null = null;
  private sending = false;
  private readonly changed: () => void;

  constructor(send: (over: UserRow, rights: Rights) => Promise<string | null>, changed: () => void) {
    this.changed = changed;
    this.role.addEventListener("change", () => this.edit((rights) => ({ ...rights, role: this.role.value })));
    this.body.addEventListener("change", (event) => {
      const select = event.target;
      if (!(select instanceof HTMLSelectElement)) return;
      const rule = RULES.find((one) => one === select.value) ?? "role";
      this.edit((rights) => withRule(rights, select.dataset["permission"] ?? "", rule));
    });
    this.undo.addEventListener("click", () => this.drop());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit(send);
    });
  }

  /** The user whose draft is older than what the server has; somebody else has changed it meanwhile. */
  get isOvertaken(): boolean {
    return this.draft !== null && this.user !== null && this.draft.over.version !== this.user.version;
  }

  /** Forgets what was changed here. */
  drop(): void {
    this.draft = null;
    setHidden(this.failed, true);
    this.changed();
  }

  draw(user: UserRow, rules: Rules): void {
    this.user = user;
    if (this.rules === null) this.make(rules);
    this.rules = rules;
    const rights = this.rights(user);
    const may = isWithin(user.role, rules.own_role, rules.roles);
    const roles = Object.keys(rules.roles).filter((one) => isWithin(one, rules.own_role, rules.roles));
    if (!roles.includes(rights.role)) roles.push(rights.role);
    if (this.role.options.length !== roles.length)
      this.role.replaceChildren(...roles.map((one) => new Option(one, one)));
    if (this.role.value !== rights.role) this.role.value = rights.role;
    this.role.disabled = !may;
    for (const name of rules.permissions) this.drawPermission(name, rights, rules, may);
    this.save.disabled = this.draft === null || this.sending;
    this.undo.disabled = this.draft === null;
    setText(part(document, "said"), this.draft === null ? "" : t("user.unsaved"));
  }

  private drawPermission(name: string, rights: Rights, rules: Rules, may: boolean): void {
    const row = find(this.body, `tr[data-permission="${name}"]`);
    const byRole = (rules.roles[rights.role] ?? []).includes(name);
    mark(find(row, '[data-cell="role"]'), byRole);
    mark(find(row, '[data-cell="effective"]'), isEffective(rights, name, rules.roles));
    const select = find<HTMLSelectElement>(row, "select");
    const rule = ruleOf(rights, name);
    if (select.value !== rule) select.value = rule;
    select.disabled = !may;
    setAttribute(row, "data-rule", rule);
  }

  private make(rules: Rules): void {
    this.body.replaceChildren(
      ...rules.permissions.map((name) => {
        const select = element("select", {
          class: "form-select form-select-sm",
          "data-permission": name,
          "data-testid": `rule-${name}`,
          "aria-label": t("user.rule_of", { name }),
        });
        select.append(...RULES.map((rule) => new Option(t(`user.rule.${rule}`), rule)));
        const cell = (key: string): HTMLElement =>
          element("td", { "data-cell": key }, icon("dash"), element("span", { class: "visually-hidden" }));
        return element(
          "tr",
          { "data-permission": name },
          element("th", { scope: "row" }, name),
          cell("role"),
          element("td", {}, select),
          cell("effective"),
        );
      }),
    );
  }

  private rights(user: UserRow): Rights {
    return this.draft?.rights ?? user;
  }

  private edit(change: (rights: Rights) => Rights): void {
    if (this.user === null) return;
    const over = this.draft?.over ?? this.user;
    const rights = change(this.rights(this.user));
    this.draft = same(rights, over) ? null : { rights, over };
    setHidden(this.failed, true);
    this.changed();
  }

  private async submit(send: (over: UserRow, rights: Rights) => Promise<string | null>): Promise<void> {
    const { draft } = this;
    if (draft === null || this.sending) return;
    this.sending = true;
    this.changed();
    const problem = await send(draft.over, draft.rights);
    this.sending = false;
    if (problem === null) this.drop();
    else {
      setText(this.failed, problem);
      setHidden(this.failed, false);
      this.changed();
    }
  }
}

function mark(cell: HTMLElement, yes: boolean): void {
  setAttribute(cell, "data-yes", yes ? "true" : null);
  setIcon(find(cell, "svg"), yes ? "check-circle-fill" : "dash");
  setText(find(cell, "span"), t(yes ? "user.yes" : "user.no"));
}
