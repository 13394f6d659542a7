/** The page of users: a live list, and adding one. How a live list behaves is list-page's. */
import type { Problem } from "../socket/admin-api";
import { createUser, listUsers, readRules, type UserRow } from "../socket/users-api";
import type { ListShape } from "../state/list-query";
import { isWithin } from "../state/user-rights";
import { element, find, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { ListPage } from "./list-page";
import { type Column, figures, words } from "./list-row";
import { PasswordDialog } from "./password-dialog";
import { problemTitle, problemWords } from "./problem-words";
import { ago, count, exact, NONE, t } from "./text";

export const SHAPE: ListShape = {
  fields: ["text", "role", "disabled"],
  sort: "username",
  sorts: { username: false, role: true, state: true, created_at: true, password_changed_at: true },
};

const COLUMNS: readonly Column<UserRow>[] = [
  {
    key: "username",
    make(cell, id) {
      cell.append(element("a", { class: "list-name", href: `/admin/users/${id}`, "data-testid": "open" }));
    },
    draw(cell, row) {
      setText(find(cell, "a"), row.username);
    },
  },
  words("role", (row) => row.role),
  {
    key: "state",
    make(cell) {
      cell.append(icon("dash-circle"), " ", element("span"));
    },
    draw(cell, row) {
      setIcon(find(cell, "svg"), row.disabled ? "dash-circle" : "check-circle-fill");
      setText(find(cell, "span"), t(row.disabled ? "users.disabled" : "users.enabled"));
      setAttribute(cell, "data-tone", row.disabled ? "warn" : null);
    },
  },
  words("permissions", (row) => permissionsOf(row), { title: (row) => row.permissions.join(", ") }),
  figures("logins", (row) => count(row.logins)),
  figures(
    "last_seen",
    (row, { now }) => (row.last_seen === null ? NONE : ago(Math.max(0, now - row.last_seen))),
    (row) => (row.last_seen === null ? "" : exact(row.last_seen)),
  ),
  figures(
    "created_at",
    (row, { now }) => ago(Math.max(0, now - row.created_at)),
    (row) => exact(row.created_at),
  ),
  figures(
    "password_changed_at",
    (row, { now }) => ago(Math.max(0, now - row.password_changed_at)),
    (row) => exact(row.password_changed_at),
  ),
];

/** How many, and what differs from the role's. */
function permissionsOf(row: UserRow): string {
  const own = [...row.grants.map((name) => `+${name}`), ...row.denials.map((name) => `−${name}`)];
  return [count(row.permissions.length), ...own].join(" ");
}

export class UsersPage {
  private readonly dialog = find<HTMLDialogElement>(document, "#new-user");
  private readonly name = find<HTMLInputElement>(this.dialog, "#new-name");
  private readonly role = find<HTMLSelectElement>(this.dialog, "#new-role");
  private readonly password = find<HTMLInputElement>(this.dialog, "#new-password");
  private readonly failed = part(this.dialog, "new-error");
  private readonly made = new PasswordDialog();
  private readonly page = new ListPage<UserRow>({
    shape: SHAPE,
    columns: COLUMNS,
    idOf: (row) => String(row.id),
    nameOf: (row) => row.username,
    list: async (parameters, keep) => {
      const reply = await listUsers(parameters, keep);
      if (!reply.ok) return reply;
      // One database knows all users: nothing can be missing.
      return { ok: true, value: { ...reply.value, rows: reply.value.users, complete: true, silent: [], cut_off: "" } };
    },
    maybeOn: () => false,
    items: () => [{ kind: t("palette.kind.action"), name: t("users.new"), run: () => void this.open() }],
    key: (event) => {
      if (event.key.toLowerCase() !== "n") return false;
      void this.open();
      return true;
    },
  });

  start(): void {
    part(document, "new").addEventListener("click", () => void this.open());
    part(this.dialog, "new-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "new-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.create();
    });
    this.page.start();
  }

  private async open(): Promise<void> {
    const reply = await readRules();
    if (!reply.ok) {
      this.page.notice({ key: "rules", tone: "error", title: problemTitle(reply.problem), text: "" });
      return;
    }
    const { roles, own_role } = reply.value;
    const within = Object.keys(roles).filter((role) => isWithin(role, own_role, roles));
    this.role.replaceChildren(...within.map((role) => new Option(role, role)));
    this.name.value = this.password.value = "";
    setHidden(this.failed, true);
    this.dialog.showModal();
    this.name.focus();
  }

  private async create(): Promise<void> {
    const go = part<HTMLButtonElement>(this.dialog, "new-go");
    go.disabled = true;
    const reply = await createUser(this.name.value, this.role.value, this.password.value);
    go.disabled = false;
    if (!reply.ok) {
      this.say(reply.problem);
      return;
    }
    this.password.value = "";
    this.dialog.close();
    this.page.refresh();
    const { user, password } = reply.value;
    if (password !== null) this.made.open(user.username, password);
    this.page.notice({ key: "added", tone: "info", title: t("users.added", { name: user.username }), text: "" });
  }

  private say(problem: Problem): void {
    setText(this.failed, problemWords(problem, t("disconnect.no_answer")));
    setHidden(this.failed, false);
  }
}
