/**
 * The activity log: live over the socket with the filters in the address, paused by the reader, older rows and exports
 * over HTTP. It must not know the wire.
 */
import { listActions, listOlder, exportAddress } from "../socket/activity-api";
import { ActivityChannel, type Filters } from "../socket/activity-channel";
import { hubUrl } from "../socket/market-channel";
import type { ClientError } from "../client/index";
import { type ActivityList, EMPTY, onOlder, onPage, onRows, pause, resume, ROWS_MAX } from "../state/activity-list";
import { fromAddress, isFiltered, type ListQuery, type ListShape, toAddress, withFields } from "../state/list-query";
import { FRESH_LINK, follow, type StreamLink } from "../state/stream-link";
import { momentOf, namedMoment, typedOf } from "../state/zone-time";
import { ActivityRows } from "./activity-rows";
import { type Banner, Banners } from "./banners";
import { find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { startFrame } from "./frame";
import { loginUrl, reconnectingBanner } from "./link-banners";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { followNetwork } from "./network";
import type { Item } from "./palette";
import { problemWords, refusedBy } from "./problem-words";
import { clock, count, t, zone } from "./text";

export const SHAPE: ListShape = {
  fields: ["text", "who", "action", "target", "ip", "since", "until"],
  sort: "at",
  sorts: { at: true },
};
const MOMENTS: ReadonlySet<string> = new Set(["since", "until"]);
const moment = (value: string): boolean => value === "" || namedMoment(value) !== null;
export const ADDRESS = { since: moment, until: moment };
const SETTLE_MS = 300;

export class ActivityPage {
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly root = part(document, "list");
  private readonly table = new ActivityRows(find(this.root, "table"), part(this.root, "rows"));
  private readonly form = part<HTMLFormElement>(document, "filter");
  private readonly mask = part<HTMLInputElement>(document, "mask");
  private readonly clockOffset = Number(this.root.dataset["serverTime"]) - Date.now() / 1000;
  private query: ListQuery = fromAddress(location.search, SHAPE);
  private list: ActivityList = EMPTY;
  private link: StreamLink = FRESH_LINK;
  private anew = true;
  private asking = false;
  private trouble: string | null = null;
  private problem: string | null = null;
  private forbidden: ClientError | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly channel = new ActivityChannel(
    hubUrl(location),
    this.root.dataset["userId"] ?? "",
    filtersOf(this.query),
    {
      link: (link) => {
        this.link = follow(this.link, link, Date.now());
        // What somebody who is not logged in any more has seen does not stay on the screen.
        if (link.state === "ended") this.clear();
        this.loop.mark();
      },
      page: (rows, cursor) => this.take(onPage(this.list, rows, cursor, this.anew)),
      rows: (rows) => this.take(onRows(this.list, rows)),
      interrupted: (message) => {
        this.trouble = message;
        this.loop.mark();
      },
      refused: (error, final) => this.refused(error, final),
    },
  );

  start(): void {
    startFrame({
      items: () => this.items(),
      key: (event) => this.onKey(event),
      zoneChanged: () => this.zoneChanged(),
      clockOffset: () => this.clockOffset,
    });
    this.wireForm();
    part(document, "pause").addEventListener("click", () => this.togglePause());
    part(document, "older").addEventListener("click", () => void this.older());
    this.mask.addEventListener("change", () => this.loop.mark());
    part(this.root, "rows").addEventListener("click", (event) => this.pressed(event));
    followNetwork(this.channel, () => this.loop.mark());
    this.loop.add(() => this.draw());
    this.loop.start();
    setInterval(() => this.loop.mark(), 1_000);
    this.channel.open();
    void this.learn();
  }

  // ---- what comes ----

  private take(list: ActivityList): void {
    this.list = list;
    this.anew = false;
    this.trouble = this.problem = null;
    this.forbidden = null;
    this.loop.mark();
  }

  private refused(error: ClientError, final: boolean): void {
    const forbidden = final || error.code === "permission_denied";
    if (forbidden) {
      this.forbidden = error;
      this.clear();
    } else {
      this.problem = problemWords(refusedBy(error));
      this.list = { ...EMPTY, rows: [], pausedAt: this.list.pausedAt };
    }
    this.loop.mark();
  }

  private clear(): void {
    this.list = { ...EMPTY, rows: [] };
    this.anew = true;
  }

  private async learn(): Promise<void> {
    const reply = await listActions();
    if (!reply.ok) return;
    const { actions, masked, may_export } = reply.value;
    const nouns = new Set(actions.map((action) => action.split(".")[0] ?? action));
    const names = [...new Set([...nouns, ...actions])].sort();
    part(document, "actions").replaceChildren(...names.map((name) => new Option(name, name)));
    setHidden(part(document, "export"), !may_export);
    setHidden(part(document, "no-export"), may_export);
    setHidden(part(document, "mask-field"), masked);
    this.loop.mark();
  }

  private async older(): Promise<void> {
    const { cursor } = this.list;
    if (cursor === null || this.asking) return;
    const { query } = this;
    this.asking = true;
    const reply = await listOlder(filtersOf(query), cursor);
    this.asking = false;
    if (query !== this.query || this.list.cursor !== cursor) return;
    if (reply.ok) this.list = onOlder(this.list, reply.value.activity, reply.value.cursor);
    else this.trouble = reply.problem.message;
    this.loop.mark();
  }

  // ---- the filters ----

  private wireForm(): void {
    this.fill();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.read();
    });
    this.form.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.read(), SETTLE_MS);
    });
    part(document, "filter-clear").addEventListener("click", () => this.set(allOf(() => "")));
    window.addEventListener("popstate", () => this.ask(fromAddress(location.search, SHAPE)));
  }

  private read(): void {
    clearTimeout(this.timer);
    const next = withFields(
      this.query,
      allOf((name) => this.typed(name)),
    );
    if (toAddress(next, SHAPE) !== toAddress(this.query, SHAPE)) this.change(next);
  }

  private typed(name: string): string {
    const { value } = this.field(name);
    if (!MOMENTS.has(name)) return value;
    const moment = momentOf(value, zone());
    return moment === null ? "" : new Date(moment * 1000).toISOString().replace(".000Z", "Z");
  }

  private set(fields: Readonly<Record<string, string>>): void {
    this.change(withFields(this.query, fields));
    this.fill();
  }

  private change(query: ListQuery): void {
    history.replaceState(null, "", `${location.pathname}${toAddress(query, SHAPE)}`);
    this.ask(query, false);
  }

  private ask(query: ListQuery, fill = true): void {
    this.query = query;
    if (fill) this.fill();
    this.anew = true;
    this.table.anew();
    this.channel.ask(filtersOf(query));
    this.channel.open();
    this.loop.mark();
  }

  private fill(): void {
    for (const name of SHAPE.fields) {
      const value = this.query.fields[name] ?? "";
      const at = namedMoment(value);
      this.field(name).value = MOMENTS.has(name) ? (at === null ? "" : typedOf(at, zone())) : value;
    }
  }

  private field(name: string): HTMLInputElement {
    return find<HTMLInputElement>(this.form, `[name="${name}"]`);
  }

  private zoneChanged(): void {
    this.fill();
    this.table.zoneChanged(this.list.rows ?? []);
    this.loop.mark();
  }

  // ---- drawing ----

  private draw(): void {
    const { list, link } = this;
    const rows = list.rows ?? [];
    this.table.draw(rows);
    this.drawLink();
    const live = link.kind === "live" && this.forbidden === null;
    setAttribute(this.root, "data-stale", live && list.pausedAt === null && this.trouble === null ? null : "true");
    setAttribute(this.root, "aria-busy", list.rows === null ? "true" : null);
    setHidden(part(document, "skeleton"), list.rows !== null);
    setHidden(part(document, "empty"), list.rows === null || rows.length > 0 || this.forbidden !== null);
    const more = list.cursor !== null || list.full;
    const shown = t(more ? "activity.shown" : "activity.shown.all", { count: count(rows.length) });
    setText(part(document, "matching"), list.rows === null ? "" : shown);
    setHidden(part(document, "older-line"), !more);
    setHidden(part(document, "older"), list.cursor === null);
    setText(part(document, "older-note"), list.full ? t("activity.full", { count: count(ROWS_MAX) }) : "");
    part<HTMLButtonElement>(document, "filter-clear").disabled = !isFiltered(this.query);
    setText(part(document, "problem"), this.problem ?? "");
    setHidden(part(document, "problem"), this.problem === null);
    for (const format of ["csv", "ndjson"] as const)
      setAttribute(part(document, format), "href", exportAddress(format, filtersOf(this.query), this.mask.checked));
    this.drawPause();
  }

  private drawPause(): void {
    const button = part<HTMLButtonElement>(document, "pause");
    const { pausedAt, held } = this.list;
    const paused = pausedAt !== null;
    setAttribute(button, "aria-pressed", String(paused));
    setIcon(button, paused ? "play-fill" : "pause-fill");
    setText(part(button, "pause-word"), t(paused ? "view.resume" : "list.pause"));
    const state = part(document, "view-state");
    setAttribute(state, "data-view", paused ? "paused" : "live");
    const said = t("activity.paused", { time: clock(pausedAt), count: count(held.length) });
    setText(state, paused ? said : "");
  }

  private drawLink(): void {
    const { link } = this;
    const since = link.kind === "waiting" || link.kind === "connecting" ? link.downSince : null;
    const retryAt = link.kind === "waiting" ? link.retryAt : null;
    const kind = this.forbidden === null ? link.kind : "ended";
    this.pill.draw({ kind, downSince: since, retryAt, offline: !navigator.onLine }, "ok");
    const found: Banner[] = [];
    if (this.forbidden !== null || link.kind === "ended") found.push(this.endedBanner());
    else if (since !== null) {
      const at = retryAt === null ? null : retryAt / 1000;
      found.push(reconnectingBanner(since / 1000, at, Date.now() / 1000, () => this.channel.retryNow()));
    }
    if (this.trouble !== null)
      found.push({ key: "trouble", tone: "warn", title: t("activity.trouble"), text: this.trouble, actions: [] });
    this.banners.draw(found);
  }

  private endedBanner(): Banner {
    const { forbidden } = this;
    return {
      key: "ended",
      tone: "error",
      title: forbidden === null ? t("banner.ended") : t("list.forbidden"),
      text: forbidden === null ? t("banner.ended.action") : problemWords(refusedBy(forbidden)),
      actions: [{ label: t("banner.login"), testid: "login-again", href: loginUrl() }],
    };
  }

  // ---- what is pressed ----

  private togglePause(): void {
    this.list = this.list.pausedAt === null ? pause(this.list, this.now()) : resume(this.list);
    this.loop.mark();
  }

  /** A name in a row filters by it, in the same page. */
  private pressed(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-field]") : null;
    if (target === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.set({ [target.dataset["field"] ?? ""]: target.dataset["value"] ?? "" });
  }

  private now(): number {
    return Date.now() / 1000 + this.clockOffset;
  }

  private onKey(event: KeyboardEvent): boolean {
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key === "/") this.field("text").focus();
    else if (event.key === " " && !onControl) this.togglePause();
    else return false;
    return true;
  }

  private items(): Item[] {
    const kind = t("palette.kind.action");
    return [
      { kind, name: t(this.list.pausedAt === null ? "list.pause" : "view.resume"), run: () => this.togglePause() },
      { kind, name: t("list.search"), run: () => this.field("text").focus() },
      { kind, name: t("list.clear"), run: () => this.set(allOf(() => "")) },
    ];
  }
}

function allOf(value: (name: string) => string): Record<string, string> {
  return Object.fromEntries(SHAPE.fields.map((name) => [name, value(name)]));
}

/** What is asked of the server: the fields that say something. */
function filtersOf(query: ListQuery): Filters {
  return Object.fromEntries(Object.entries(query.fields).filter(([, value]) => value !== ""));
}
