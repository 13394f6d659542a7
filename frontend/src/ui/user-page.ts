/** One user: rights, state, logins, sockets, asked for once a second; what is done acts at once. */
import type { Problem } from "../socket/admin-api";
import type { ConnectionRow } from "../socket/connections-api";
import {
  changeUser,
  endSession,
  listSessions,
  listSockets,
  logOutEverywhere,
  readRules,
  readUser,
  type Rules,
  type SessionRow,
  setPassword,
  type SocketsAnswer,
  type UserRow,
} from "../socket/users-api";
import { programOf } from "../state/program";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { isWithin, type Rights } from "../state/user-rights";
import { type Banner, Banners } from "./banners";
import { element, find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { startFrame } from "./frame";
import { loginUrl, reconnectingBanner } from "./link-banners";
import { LinkPill } from "./link-pill";
import { type Column, figures, words } from "./list-row";
import { Loop } from "./loop";
import { PasswordDialog } from "./password-dialog";
import { PlainList } from "./plain-list";
import { Poller } from "./poller";
import { problemRest, problemTitle, problemWords } from "./problem-words";
import { RightsForm } from "./rights-form";
import { SureDialog } from "./sure-dialog";
import { ago, count, exact, NONE, span, t } from "./text";

const SESSION_COLUMNS = (press: (id: string) => void): readonly Column<SessionRow>[] => [
  {
    key: "id",
    make(cell, id) {
      cell.append(element("span", { class: "list-name" }, id));
    },
    draw() {},
  },
  words("ip", (row) => row.ip || NONE, { classes: "list-tight" }),
  words("user_agent", (row) => programOf(row.user_agent) || NONE, {
    classes: "list-tight",
    title: (row) => row.user_agent,
  }),
  figures(
    "created_at",
    (row, { now }) => ago(Math.max(0, now - row.created_at)),
    (row) => exact(row.created_at),
  ),
  figures(
    "last_seen",
    (row, { now }) => ago(Math.max(0, now - row.last_seen)),
    (row) => exact(row.last_seen),
  ),
  {
    key: "actions",
    classes: "list-actions",
    make(cell, id) {
      const said = { type: "button", class: "btn btn-sm btn-quiet", "data-testid": "end-session" };
      const button = element("button", { ...said, "aria-label": t("user.end_one", { id }) }, t("user.end"));
      button.addEventListener("click", () => press(id));
      cell.append(button);
    },
    draw() {},
  },
];

const SOCKET_COLUMNS: readonly Column<ConnectionRow>[] = [
  {
    key: "connection_id",
    make(cell, id) {
      const href = `/admin/connections?${new URLSearchParams({ text: id })}`;
      cell.append(element("a", { class: "list-name", href }, id));
    },
    draw() {},
  },
  words("node", (row) => row.node, { classes: "list-tight", title: (row) => row.instance }),
  words("ip", (row) => row.ip, { classes: "list-tight" }),
  figures(
    "rooms",
    (row) => count(row.room_count),
    (row) => row.rooms.join(", "),
  ),
  words("user_agent", (row) => programOf(row.user_agent) || NONE, {
    classes: "list-tight",
    title: (row) => row.user_agent,
  }),
  figures("connected_at", (row, { now }) => span(now - row.connected_at)),
];

export class UserPage {
  private readonly root = part(document, "user");
  private readonly id = this.root.dataset["userId"] ?? "";
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly sure = new SureDialog();
  private readonly made = new PasswordDialog();
  private readonly form = new RightsForm(
    (over, rights) => this.save(over, rights),
    () => this.loop.mark(),
  );
  private readonly poller = new Poller(
    () => this.round(),
    () => this.loop.mark(),
  );
  private readonly sessionRows = new PlainList<SessionRow>(
    part(document, "sessions"),
    SESSION_COLUMNS((id) => this.askToEnd(id)),
    (row) => row.id,
  );
  private readonly socketRows = new PlainList<ConnectionRow>(
    part(document, "sockets"),
    SOCKET_COLUMNS,
    (row) => row.connection_id,
  );
  private readonly notices = new Map<string, Banner>();
  private clock: ServerClock = newClock(0, Date.now() / 1000);
  private user: UserRow | null = null;
  private rules: Rules | null = null;
  private sessions: readonly SessionRow[] = [];
  private sockets: SocketsAnswer | null = null;

  start(): void {
    startFrame({ items: () => [], zoneChanged: () => this.loop.mark(), clockOffset: () => this.clock.offset });
    part(document, "toggle").addEventListener("click", () => this.askToToggle());
    part(document, "logout").addEventListener("click", () => this.askToLogOut());
    part(document, "reset").addEventListener("click", () => this.askToReset());
    this.loop.add(() => this.draw());
    this.loop.start();
    this.poller.start();
  }

  // ---- asking ----

  private async round(): Promise<Problem | null> {
    if (this.rules === null) {
      const rules = await readRules();
      if (!rules.ok) return rules.problem;
      this.rules = rules.value;
    }
    const answers = [readUser(this.id), listSessions(this.id), listSockets(this.id)] as const;
    const [user, sessions, sockets] = await Promise.all(answers);
    for (const reply of [user, sessions, sockets]) if (!reply.ok) return this.failed(reply.problem);
    if (!user.ok || !sessions.ok || !sockets.ok) return null;
    this.user = user.value;
    this.sessions = sessions.value.sessions;
    this.sockets = sockets.value;
    this.clock = observe(this.clock, sockets.value.at, Date.now() / 1000);
    return null;
  }

  /** What somebody may no longer see does not stay on the screen. */
  private failed(problem: Problem): Problem {
    if (problem.status === 401 || problem.status === 403) {
      this.user = this.sockets = null;
      this.sessions = [];
    }
    return problem;
  }

  // ---- drawing ----

  private draw(): void {
    const { user, rules } = this;
    const { look } = this.poller;
    const now = Date.now() / 1000 + this.clock.offset;
    this.pill.draw(look, this.sockets !== null && !this.sockets.complete ? "warn" : "ok");
    this.banners.draw(this.bannersNow());
    setAttribute(this.root, "aria-busy", user === null ? "true" : null);
    setAttribute(this.root, "data-stale", look.kind === "live" ? null : "true");
    this.sessionRows.draw(this.sessions, now);
    this.socketRows.draw(this.sockets?.connections ?? [], now);
    this.drawCounts();
    this.drawUser(user, now);
    if (user !== null && rules !== null) this.form.draw(user, rules);
  }

  private drawCounts(): void {
    const known = this.user !== null;
    setText(part(document, "sessions-count"), known ? count(this.sessions.length) : "");
    setText(part(document, "sockets-count"), this.sockets === null ? "" : count(this.sockets.matching));
    setHidden(part(document, "sessions-empty"), !known || this.sessions.length > 0);
    setHidden(part(document, "sockets-empty"), this.sockets === null || this.sockets.connections.length > 0);
  }

  private drawUser(user: UserRow | null, now: number): void {
    setText(part(document, "name"), user?.username ?? "…");
    const state = part(document, "state");
    setText(find(state, "span"), user === null ? "" : t(user.disabled ? "users.disabled" : "users.enabled"));
    setIcon(find(state, "svg"), user?.disabled === true ? "dash-circle" : "check-circle-fill");
    setHidden(state, user === null);
    setAttribute(state, "data-tone", user?.disabled === true ? "warn" : null);
    const within = user !== null && this.rules !== null && isWithin(user.role, this.rules.own_role, this.rules.roles);
    const own = user !== null && user.id === this.rules?.own_id;
    const toggle = part<HTMLButtonElement>(document, "toggle");
    setText(toggle, t(user?.disabled === true ? "user.enable" : "user.disable"));
    toggle.disabled = !within || own;
    part<HTMLButtonElement>(document, "logout").disabled = !within;
    part<HTMLButtonElement>(document, "reset").disabled = !within;
    setHidden(part(document, "beyond"), user === null || within);
    const trail = part<HTMLAnchorElement>(document, "trail");
    setHidden(trail, user === null || this.rules?.own_permissions.includes("audit:read") !== true);
    if (user === null) {
      part(document, "facts").replaceChildren();
      return;
    }
    setAttribute(trail, "href", `/admin/activity?${new URLSearchParams({ target: user.username })}`);
    this.drawFacts(user, now);
  }

  private drawFacts(user: UserRow, now: number): void {
    const set = ago(Math.max(0, now - user.password_changed_at));
    const password = user.must_change_password ? t("users.password.must", { since: set }) : set;
    const facts: [string, string, string][] = [
      [t("user.number"), String(user.id), ""],
      [t("users.created"), ago(Math.max(0, now - user.created_at)), exact(user.created_at)],
      [t("users.password_changed"), password, exact(user.password_changed_at)],
      [t("users.last_seen"), user.last_seen === null ? NONE : ago(Math.max(0, now - user.last_seen)), ""],
    ];
    const list = part(document, "facts");
    if (list.childElementCount !== facts.length)
      list.replaceChildren(...facts.map(([name]) => element("div", {}, element("dt", {}, name), element("dd"))));
    for (const [i, [, value, title]] of facts.entries()) {
      const cell = find(list.children[i] ?? list, "dd");
      setText(cell, value);
      setAttribute(cell, "title", title || null);
    }
  }

  private bannersNow(): Banner[] {
    const { look, problem } = this.poller;
    const found: Banner[] = [];
    if (look.kind === "ended" && problem !== null) {
      const forbidden = problem.status === 403;
      const title = forbidden ? t("list.forbidden") : t("banner.ended");
      const text = forbidden ? problemWords(problem) : t("banner.ended.action");
      const actions = [{ label: t("banner.login"), testid: "login-again", href: loginUrl() }];
      found.push({ key: "ended", tone: "error", title, text, actions });
    } else if (look.downSince !== null) {
      const retryAt = look.kind === "waiting" && look.retryAt !== null ? look.retryAt / 1000 : null;
      found.push(reconnectingBanner(look.downSince / 1000, retryAt, Date.now() / 1000, () => this.poller.now()));
    }
    if (problem !== null && problem.status > 0 && look.kind !== "ended")
      found.push({
        key: "problem",
        tone: "error",
        title: problemTitle(problem),
        text: problemRest(problem),
        actions: [],
      });
    if (this.form.isOvertaken) {
      const load = { label: t("user.load"), testid: "load", run: () => this.form.drop() };
      const text = t("user.overtaken.action");
      found.push({ key: "overtaken", tone: "warn", title: t("user.overtaken"), text, actions: [load] });
    }
    for (const node of look.kind === "live" ? (this.sockets?.silent ?? []) : []) {
      const title = t("list.silent", { node: node.node });
      found.push({ key: `silent-${node.instance}`, tone: "warn", title, text: "", actions: [] });
    }
    return [...found, ...this.notices.values()];
  }

  // ---- what is done ----

  private async save(over: UserRow, rights: Rights): Promise<string | null> {
    const { role, grants, denials } = rights;
    const reply = await changeUser(this.id, { version: over.version, role, grants, denials });
    if (!reply.ok) return problemWords(reply.problem, t("disconnect.no_answer"));
    this.done(reply.value, t("user.saved"));
    return null;
  }

  private askToToggle(): void {
    const { user } = this;
    if (user === null) return;
    const name = { name: user.username };
    const disabled = !user.disabled;
    this.sure.ask({
      title: t(disabled ? "user.disable.title" : "user.enable.title", name),
      text: t(disabled ? "user.disable.text" : "user.enable.text"),
      go: t(disabled ? "user.disable" : "user.enable"),
      run: async () => {
        const reply = await changeUser(this.id, { version: user.version, disabled });
        if (!reply.ok) return reply.problem;
        this.done(reply.value, t(disabled ? "user.is_disabled" : "user.is_enabled"));
        return null;
      },
    });
  }

  private askToLogOut(): void {
    this.sure.ask({
      title: t("user.logout.title", { name: this.user?.username ?? "" }),
      text: t("user.logout.text"),
      go: t("user.logout"),
      run: async () => {
        const reply = await logOutEverywhere(this.id);
        if (!reply.ok) return reply.problem;
        this.done(null, t("user.logged_out", { count: count(reply.value.sessions_ended) }));
        return null;
      },
    });
  }

  private askToReset(): void {
    const name = this.user?.username ?? "";
    this.sure.ask({
      title: t("user.reset.title", { name }),
      text: t("user.reset.text"),
      go: t("user.reset"),
      password: true,
      run: async (password) => {
        const reply = await setPassword(this.id, password);
        if (!reply.ok) return reply.problem;
        this.done(null, t("user.logged_out", { count: count(reply.value.sessions_ended) }));
        if (reply.value.password !== null) this.made.open(name, reply.value.password);
        return null;
      },
    });
  }

  private askToEnd(session: string): void {
    this.sure.ask({
      title: t("user.end_one", { id: session }),
      text: t("user.end.text"),
      go: t("user.end"),
      run: async () => {
        const reply = await endSession(this.id, session);
        if (!reply.ok) return reply.problem;
        this.done(null, t("user.logged_out", { count: count(reply.value.sessions_ended) }));
        return null;
      },
    });
  }

  /** Says what was done until it is dismissed, and asks anew at once. */
  private done(user: UserRow | null, title: string): void {
    if (user !== null) this.user = user;
    const run = (): void => {
      this.notices.delete("done");
      this.loop.mark();
    };
    const dismiss = { label: t("banner.dismiss"), testid: "dismiss", run };
    this.notices.set("done", { key: "done", tone: "info", title, text: "", actions: [dismiss] });
    this.poller.now();
    this.loop.mark();
  }
}
