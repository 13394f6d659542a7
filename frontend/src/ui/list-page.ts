/**
 * The conduct of a page around one live list: it asks once a second, hands the answers to the list, says what is wrong.
 * What is listed, and what else the page does, is told by the page that makes it.
 */
import { isRefusedQuestion, type Problem, type Reply } from "../socket/admin-api";
import type { Whole } from "../socket/connections-api";
import { inSight, type ListShape, toParameters, wholeList } from "../state/list-query";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { type Banner, Banners } from "./banners";
import { part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { startFrame } from "./frame";
import { sayExported, wireExport } from "./list-export";
import { LinkPill } from "./link-pill";
import type { Column } from "./list-row";
import { ListTools } from "./list-tools";
import { LiveList } from "./live-list";
import { Loop } from "./loop";
import type { Item } from "./palette";
import { pollBanners } from "./poll-banners";
import { Poller } from "./poller";
import { clock, t } from "./text";

/** Rows of a page: more do not fit on a screen, and the request for a page names the rows in sight. */
export const PAGE_ROWS = 50;

/** One answer of the server, as every list needs it. */
export interface Page<R> extends Whole {
  readonly rows: readonly R[];
  readonly kept: readonly R[];
  readonly matching: number;
  readonly cursor: string | null;
  /** Server time, Unix seconds. */
  readonly at: number;
}

export interface ListSpec<R> {
  readonly shape: ListShape;
  readonly columns: readonly Column<R>[];
  idOf(row: R): string;
  nameOf(row: R): string;
  /** Asks for a page, and beside it for the rows in sight. */
  list(parameters: URLSearchParams, keep: readonly string[]): Promise<Reply<Page<R>>>;
  /** Whether the absence of a row proves nothing, since one of these did not answer. */
  maybeOn(row: R, instances: ReadonlySet<string>): boolean;
  chosenChanged?(): void;
  /** What else is wrong with an answer. */
  trouble?(page: Page<R>): Banner[];
  /** Asked with every round, for example for a second list; its problem is the round's. */
  more?(): Promise<Problem | null>;
  draw?(now: number): void;
  items?(): Item[];
  key?(event: KeyboardEvent): boolean;
}

export class ListPage<R> {
  readonly list: LiveList<R>;
  readonly tools: ListTools;
  private readonly loop = new Loop();
  private readonly spec: ListSpec<R>;
  private readonly poller: Poller;
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly notices = new Map<string, Banner>();
  private clock: ServerClock = newClock(0, Date.now() / 1000);
  private last: Page<R> | null = null;
  private question = 0;
  private pausedAt: number | null = null;

  constructor(spec: ListSpec<R>) {
    this.spec = spec;
    this.tools = new ListTools(spec.shape, () => this.askAnew());
    this.poller = new Poller(
      () => this.round(),
      () => this.loop.mark(),
    );
    this.list = new LiveList(part(document, "list"), {
      columns: spec.columns,
      idOf: (row) => spec.idOf(row),
      nameOf: (row) => spec.nameOf(row),
      chosenChanged: () => {
        spec.chosenChanged?.();
        this.loop.mark();
      },
      sortPressed: (key) => this.tools.sortBy(key),
    });
  }

  start(): void {
    startFrame({
      items: () => [...this.items(), ...(this.spec.items?.() ?? [])],
      key: (event) => this.onKey(event),
      zoneChanged: () => this.loop.mark(),
      clockOffset: () => this.clock.offset,
    });
    part(document, "pause").addEventListener("click", () => this.togglePause());
    part(document, "take").addEventListener("click", () => this.sayOrder());
    this.loop.add(() => this.draw());
    this.loop.start();
    this.poller.start();
  }

  /** Server time, Unix seconds. */
  now(): number {
    return Date.now() / 1000 + this.clock.offset;
  }

  /** Asks at once. */
  refresh(): void {
    this.poller.now();
  }

  mark(): void {
    this.loop.mark();
  }

  /** Wires the buttons that take a list away as a file; without `parameters` it is what this page's filters show. */
  exportAs(name: string, path: string, parameters = (): URLSearchParams => wholeList(this.tools.query)): void {
    wireExport({ name, path, parameters, said: (notice) => this.notice(notice), done: sayExported });
  }

  /** Says something until it is dismissed. */
  notice(banner: Omit<Banner, "actions">): void {
    const dismiss = { label: t("banner.dismiss"), testid: "dismiss", run: () => this.dismiss(banner.key) };
    this.notices.set(banner.key, { ...banner, actions: [dismiss] });
    this.loop.mark();
  }

  private dismiss(key: string): void {
    this.notices.delete(key);
    this.loop.mark();
  }

  // ---- asking ----

  private askAnew(): void {
    this.question += 1;
    this.list.ask();
    this.poller.now();
    this.loop.mark();
  }

  private async round(): Promise<Problem | null> {
    const { question } = this;
    const { query, paging } = this.tools;
    // Those that have ended, too: of a row that was not asked for nothing is known.
    const keep = inSight(this.list.ids());
    const reply = await this.spec.list(toParameters(query, paging, PAGE_ROWS), keep);
    // Asked something else meanwhile: the poller asks again at once.
    if (question !== this.question) return null;
    if (!reply.ok) {
      if (isRefusedQuestion(reply.problem.status) && paging.cursors.length > 0) this.tools.toFirstPage();
      return reply.problem;
    }
    const page = reply.value;
    this.clock = observe(this.clock, page.at, Date.now() / 1000);
    this.last = page;
    const silent = new Set(page.silent.map((node) => node.instance));
    const kept = new Set(keep);
    const unknown = (row: R): boolean =>
      page.cut_off !== "" || !kept.has(this.spec.idOf(row)) || this.spec.maybeOn(row, silent);
    this.list.answer(page, this.now(), unknown);
    return (await this.spec.more?.()) ?? null;
  }

  // ---- drawing ----

  private draw(): void {
    const { look } = this.poller;
    const { query } = this.tools;
    const { last } = this;
    this.pill.draw(look, last !== null && !last.complete ? "warn" : "ok");
    this.banners.draw(this.bannersNow());
    this.list.showSort(query.sort, query.descending);
    const now = this.pausedAt ?? this.now();
    this.list.draw(now);
    const root = part(document, "list");
    setAttribute(root, "data-stale", look.kind === "live" && this.pausedAt === null ? null : "true");
    setAttribute(root, "aria-busy", last === null ? "true" : null);
    // Nothing is on its way any more once the question is refused.
    const refused = isRefusedQuestion(this.poller.problem?.status ?? 0);
    setHidden(part(document, "skeleton"), last !== null || look.kind === "ended" || refused);
    setHidden(part(document, "empty"), last === null || this.list.length > 0);
    this.tools.say(last?.matching ?? null, this.list.length, last?.cursor ?? null, PAGE_ROWS);
    this.drawPause();
    this.spec.draw?.(now);
  }

  private drawPause(): void {
    const button = part<HTMLButtonElement>(document, "pause");
    const paused = this.pausedAt !== null;
    setAttribute(button, "aria-pressed", String(paused));
    setIcon(button, paused ? "play-fill" : "pause-fill");
    setText(part(button, "pause-word"), t(paused ? "view.resume" : "list.pause"));
    const state = part(document, "view-state");
    setAttribute(state, "data-view", paused ? "paused" : "live");
    setText(state, paused ? t("list.paused", { time: clock(this.pausedAt) }) : "");
  }

  private bannersNow(): Banner[] {
    const more = this.last !== null && this.poller.look.kind === "live" ? (this.spec.trouble?.(this.last) ?? []) : [];
    return [...pollBanners(this.poller, this.last, () => this.tools.clear()), ...more, ...this.notices.values()];
  }

  // ---- what is pressed ----

  private togglePause(): void {
    this.pausedAt = this.pausedAt === null ? this.now() : null;
    this.poller.pause(this.pausedAt !== null);
    this.loop.mark();
  }

  private takeOrder(): void {
    this.list.take(this.now());
    this.sayOrder();
  }

  /** The reader asked for the order, so it is told, too, to who does not see it. */
  private sayOrder(): void {
    this.list.draw(this.now());
    setText(part(document, "announce"), part(document, "order").textContent ?? "");
  }

  private onKey(event: KeyboardEvent): boolean {
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key === "/") this.tools.focus();
    else if (event.key.toLowerCase() === "r") this.takeOrder();
    else if (event.key === " " && !onControl) this.togglePause();
    else return this.spec.key?.(event) ?? false;
    return true;
  }

  private items(): Item[] {
    const kind = t("palette.kind.action");
    return [
      { kind, name: t(this.pausedAt === null ? "list.pause" : "view.resume"), run: () => this.togglePause() },
      { kind, name: t("list.take"), run: () => this.takeOrder() },
      { kind, name: t("list.search"), run: () => this.tools.focus() },
    ];
  }
}
