/**
 * The feed page as a whole: which columns there are, the sums, the banners, and what each button and key asks of
 * the channel. State changes in state/, drawing happens in the one loop; this ties them together.
 */
import { AdminChannel, type LinkState } from "../socket/admin-channel";
import type { ErrorObject, Filter } from "../socket/wire";
import { UNASSIGNED } from "../socket/wire";
import { type AlertInput, alerts, staleSince } from "../state/alerts";
import {
  addNotice,
  applyFilter,
  applyHeld,
  applyHistory,
  applyMetrics,
  applyPaused,
  applyResumed,
  applySnapshot,
  applyStatus,
  applyTicks,
  beginSync,
  carryHeld,
  clearView,
  newDashboard,
  pauseView,
  releaseView,
  sums,
} from "../state/dashboard";
import { worst } from "../state/line-badge";
import { toBanner } from "./alert-banners";
import { Banners } from "./banners";
import type { ChartView } from "./chart";
import { type ColumnActions, ColumnView, emptyText } from "./column";
import { find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { PauseFeedDialog } from "./feed-control";
import { FilterForm } from "./filter-form";
import { startFrame } from "./frame";
import { InspectDialog } from "./inspect";
import { Loop } from "./loop";
import type { Item } from "./palette";
import { StreamView } from "./stream";
import { clock, count, decimal, span, t } from "./text";

const METRIC_KEY = "tidewire.metric";
const RANGE_KEY = "tidewire.range";

export class FeedPage {
  private readonly state = newDashboard();
  private readonly loop = new Loop();
  private readonly columns = new Map<string, ColumnView>();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly unassigned: StreamView;
  private readonly channel: AdminChannel;
  private readonly filterForm: FilterForm;
  private readonly inspect: InspectDialog;
  private readonly pauseFeed: PauseFeedDialog;
  private readonly chartView: ChartView;
  private link: LinkState = { kind: "connecting" };
  private downSince: number | null = null;
  private notices: ErrorObject[] = [];
  private busErrorsSeen = 0;
  private filterProblem: string | null = null;
  private filterWaiting = false;
  private metric = localStorage.getItem(METRIC_KEY) ?? "latency";
  private drawnLayout = -1;
  private announced = "";

  constructor() {
    this.channel = new AdminChannel(
      { link: (link) => this.onLink(link), opened: () => void this.synchronise() },
      {
        connection_status_update: (status) => this.apply(() => applyStatus(this.state, status)),
        tick_update: (tick) => this.apply(() => applyTicks(this.state, [tick], 0)),
        tick_batch: (batch) => this.apply(() => applyTicks(this.state, batch.ticks, batch.dropped)),
        metrics_update: (metrics) => this.apply(() => applyMetrics(this.state, metrics)),
        history_update: (update) => this.apply(() => applyHistory(this.state, update)),
        held_update: (held) => this.apply(() => applyHeld(this.state, held)),
        error: (error) => this.notice(error),
      },
    );
    this.chartView = {
      zoom: null,
      rangeS: Number(localStorage.getItem(RANGE_KEY) ?? 900),
      zoomed: (zoom) => this.zoom(zoom),
    };
    this.filterForm = new FilterForm((filter) => void this.sendFilter(filter));
    this.inspect = new InspectDialog((id) => this.channel.ask("inspect_tick", { id }));
    this.pauseFeed = new PauseFeedDialog((reason) => this.askPauseFeed(reason));
    this.unassigned = new StreamView(part(document, "unassigned"), UNASSIGNED, t("unassigned.title"), this.actions());
  }

  start(): void {
    this.wireTools();
    startFrame({
      items: () => this.paletteItems(),
      key: (event) => this.onKey(event),
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.state.clockOffset,
    });
    document.addEventListener("tidewire:theme", () => this.restyle());
    window.addEventListener("pagehide", () => this.channel.close());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.channel.open();
    });
    this.loop.add(() => this.draw());
    this.loop.start();
    this.channel.open();
  }

  // ---- from the channel ----

  private apply(change: () => void): void {
    change();
    this.loop.mark();
  }

  private onLink(link: LinkState): void {
    this.link = link;
    if (link.kind === "waiting") {
      this.downSince = link.since / 1000;
      carryHeld(this.state);
    } else if (link.kind === "live") this.downSince = null;
    beginSync(this.state);
    this.announce();
    this.loop.mark();
  }

  /** After every connect: options first, so that the snapshot's ticks are filtered; then pauses; then everything. */
  private async synchronise(): Promise<void> {
    beginSync(this.state);
    const filter = this.filterForm.filter;
    await this.setOptions(filter);
    for (const column of [...this.state.columns.values()]) {
      if (column.pausedAt !== null) await this.channel.ask("pause_stream", { connection_id: column.id });
    }
    const answer = await this.channel.ask("request_snapshot", {});
    if (!answer.ok) {
      if (this.channel.live) this.notice(answer.error);
      return;
    }
    this.apply(() => {
      applySnapshot(this.state, answer, Date.now() / 1000);
      applyPaused(this.state, answer.paused);
    });
  }

  private async sendFilter(filter: Filter | null): Promise<void> {
    this.filterWaiting = !this.channel.live;
    if (this.channel.live) await this.setOptions(filter);
    this.loop.mark();
  }

  private async setOptions(filter: Filter | null): Promise<void> {
    const answer = await this.channel.ask("set_options", { batch: true, filter });
    // Typing went on while the server answered; the later answer counts.
    if (JSON.stringify(filter) !== JSON.stringify(this.filterForm.filter)) return;
    this.filterProblem = answer.ok ? null : `${answer.error.message} ${answer.error.required_action}`;
    if (answer.ok) this.apply(() => applyFilter(this.state, answer.options.filter));
    this.filterWaiting = false;
    this.loop.mark();
  }

  private notice(error: ErrorObject): void {
    this.notices = addNotice(this.notices, error);
    this.loop.mark();
  }

  // ---- what buttons and keys ask ----

  private actions(): ColumnActions {
    return {
      pause: (id) => void this.pause([id]),
      resume: (id) => void this.resume([id]),
      clear: (id) => this.apply(() => clearView(this.state, [id])),
      inspect: (tick) => void this.inspect.open(tick),
      redraw: () => this.loop.mark(),
      chooseMetric: (metric) => {
        this.metric = metric;
        localStorage.setItem(METRIC_KEY, metric);
        this.loop.mark();
      },
    };
  }

  private async pause(ids: string[]): Promise<void> {
    const fresh = ids.filter((id) => this.state.columns.get(id)?.pausedAt === null);
    this.apply(() => pauseView(this.state, fresh, this.now()));
    for (const id of fresh) {
      const answer = await this.channel.ask("pause_stream", { connection_id: id });
      if (answer.ok) this.apply(() => applyPaused(this.state, answer.paused));
      // Cut off: the view stays held, and the pause is told to the server when it is back.
      else if (this.channel.live) {
        this.apply(() => releaseView(this.state, [id]));
        this.notice(answer.error);
      }
    }
  }

  private async resume(ids: string[]): Promise<void> {
    for (const id of ids) {
      if (this.state.columns.get(id)?.pausedAt === null) continue;
      const answer = await this.channel.ask("resume_stream", { connection_id: id });
      if (answer.ok) {
        this.apply(() => applyResumed(this.state, [id], answer));
        this.stream(id)?.setSkipped(answer.skipped[id] ?? 0);
      } else if (this.channel.live) this.notice(answer.error);
      else this.apply(() => releaseView(this.state, [id]));
    }
  }

  private togglePauseAll(): void {
    const ids = this.ids();
    if (this.allPaused()) void this.resume(ids);
    else void this.pause(ids);
  }

  private allPaused(): boolean {
    const live = [...this.state.columns.values()].filter((column) => column.line?.enabled !== false);
    return live.length > 0 && live.every((column) => column.pausedAt !== null);
  }

  private async askPauseFeed(reason: string): Promise<ErrorObject | null> {
    const answer = await this.channel.ask("pause_feed", {
      confirm: "pause feed",
      ...(reason === "" ? {} : { reason }),
    });
    return answer.ok ? null : answer.error;
  }

  private async resumeFeed(): Promise<void> {
    const answer = await this.channel.ask("resume_feed", {});
    if (!answer.ok) this.notice(answer.error);
  }

  private zoom(zoom: { min: number; max: number } | null): void {
    if (JSON.stringify(zoom) === JSON.stringify(this.chartView.zoom)) return;
    this.chartView.zoom = zoom;
    this.redrawCharts();
  }

  private redrawCharts(): void {
    for (const column of this.state.columns.values()) column.version.history += 1;
    this.loop.mark();
  }

  private restyle(): void {
    for (const view of this.columns.values()) view.restyle();
    for (const column of this.state.columns.values()) column.version.stream += 1;
    this.loop.mark();
  }

  private wireTools(): void {
    part(document, "pause-all").addEventListener("click", () => this.togglePauseAll());
    part(document, "jump-all").addEventListener("click", () => this.jump(this.ids()));
    part(document, "clear-all").addEventListener("click", () => {
      for (const id of this.ids()) this.stream(id)?.clear();
    });
    part(document, "feed-control").addEventListener("click", () => {
      if (this.state.status?.paused) void this.resumeFeed();
      else this.pauseFeed.open();
    });
    part(document, "zoom-out").addEventListener("click", () => this.zoom(null));
    const range = part<HTMLSelectElement>(document, "range");
    range.value = String(this.chartView.rangeS);
    range.addEventListener("change", () => {
      this.chartView.rangeS = Number(range.value);
      this.chartView.zoom = null;
      localStorage.setItem(RANGE_KEY, range.value);
      this.redrawCharts();
    });
  }

  private jump(ids: readonly string[]): void {
    for (const id of ids) this.stream(id)?.jump();
  }

  private onKey(event: KeyboardEvent): boolean {
    const target = event.target instanceof Element ? event.target : null;
    if (event.key === " ") {
      // The space bar presses a focused button and opens a focused summary; that is theirs.
      if (target?.closest("button, a, summary, [role=option]")) return false;
      if (event.shiftKey) {
        this.togglePauseAll();
        return true;
      }
      const id = this.aimed();
      if (id === null) return false;
      this.stream(id)?.togglePause();
      return true;
    }
    if (event.key === "/") {
      this.filterForm.focus();
      return true;
    }
    if (event.key.toLowerCase() === "j" && !event.shiftKey) {
      const id = this.aimed();
      this.jump(id === null ? this.ids() : [id]);
      return true;
    }
    if (/^[1-9]$/.test(event.key)) return this.focusColumn(Number(event.key) - 1);
    return false;
  }

  private focusColumn(index: number): boolean {
    const view = [...this.columns.values()][index];
    view?.root.focus();
    view?.root.scrollIntoView({ block: "nearest", inline: "nearest" });
    return view !== undefined;
  }

  /** The column with the focus, else the one under the pointer. */
  private aimed(): string | null {
    const focused = document.activeElement?.closest<HTMLElement>("[data-connection]");
    const aimed = focused ?? document.querySelector<HTMLElement>("[data-connection]:hover");
    return aimed?.dataset["connection"] ?? null;
  }

  private ids(): string[] {
    return [...this.state.columns.keys()];
  }

  private stream(id: string): StreamView | undefined {
    return id === UNASSIGNED ? this.unassigned : this.columns.get(id)?.stream;
  }

  private paletteItems(): Item[] {
    const action = t("palette.kind.action");
    const press = (name: string): void => part(document, name).click();
    const items: Item[] = [
      { kind: action, name: part(document, "pause-all-word").textContent ?? "", run: () => press("pause-all") },
      { kind: action, name: t("view.jump_all"), run: () => press("jump-all") },
      { kind: action, name: t("view.clear_all"), run: () => press("clear-all") },
      { kind: action, name: t("filter.title"), run: () => this.filterForm.focus() },
      { kind: action, name: t("filter.clear"), run: () => press("filter-clear") },
    ];
    if (this.state.canControlFeed) {
      const paused = Boolean(this.state.status?.paused);
      items.push({ kind: action, name: t(paused ? "feed.resume" : "feed.pause"), run: () => press("feed-control") });
    }
    const symbols: Item[] = [];
    for (const [index, [id, column]] of [...this.state.columns].entries()) {
      const name = column.line?.name ?? t("unassigned.title");
      if (column.line !== null) {
        items.push({ kind: t("palette.kind.connection"), name, more: id, run: () => this.focusColumn(index) });
      }
      for (const symbol of column.line?.tickers ?? []) {
        symbols.push({
          kind: t("palette.kind.symbol"),
          name: symbol,
          more: t("palette.symbol.on", { name }),
          run: () => this.filterForm.set({ symbols: symbol, types: "", text: "", minChange: "" }),
        });
      }
    }
    return [...items, ...symbols];
  }

  // ---- drawing ----

  private now(): number {
    return Date.now() / 1000 + this.state.clockOffset;
  }

  private draw(): void {
    if (this.state.version.layout !== this.drawnLayout) this.layOut();
    const input = this.alertInput();
    const context = { now: this.now(), staleSince: staleSince(input), metric: this.metric };
    for (const [id, view] of this.columns) {
      const column = this.state.columns.get(id);
      if (column !== undefined) view.draw(this.state, column, context);
    }
    this.drawUnassigned();
    this.drawSums(context.staleSince !== null);
    this.drawTools();
    this.drawLink();
    this.drawBanners(input);
    this.filterForm.say(this.state.filter, this.filterWaiting, this.filterProblem);
  }

  /** Adds and removes columns; those that stay are not touched. */
  private layOut(): void {
    this.drawnLayout = this.state.version.layout;
    const box = part(document, "columns");
    const wanted = [...this.state.columns.keys()].filter((id) => id !== UNASSIGNED);
    if (wanted.length > 0) {
      for (const skeleton of box.querySelectorAll(".skeleton")) skeleton.remove();
      box.removeAttribute("aria-busy");
    }
    for (const [id, view] of this.columns) {
      if (wanted.includes(id)) continue;
      view.destroy();
      this.columns.delete(id);
    }
    for (const [index, id] of wanted.entries()) {
      if (this.columns.has(id)) continue;
      const view = new ColumnView(id, identity(id, index), this.chartView, this.actions());
      this.columns.set(id, view);
      box.append(view.root);
    }
    box.dataset["count"] = String(wanted.length);
  }

  private drawUnassigned(): void {
    const column = this.state.columns.get(UNASSIGNED);
    const section = part(document, "unassigned");
    setHidden(section, column === undefined || column.messages === 0);
    if (column === undefined) return;
    const figures = { count: count(column.messages), rate: decimal(column.metrics?.messages_per_second ?? 0) };
    setText(part(section, "unassigned-count"), t("unassigned.count", figures));
    this.unassigned.draw(this.state, column, emptyText(this.state, null, column));
  }

  private drawSums(stale: boolean): void {
    const all = sums(this.state);
    const known = this.state.status !== null;
    const texts: Record<string, string> = {
      connected: t("sums.connected.of", { connected: count(all.connected), total: count(all.enabled) }),
      rate: decimal(all.messagesPerSecond),
      ticks: count(all.ticks),
      errors: count(all.errors),
      held: count(all.held),
      dropped: count(all.dropped),
    };
    const box = find(document, ".sums");
    if (known) for (const [name, text] of Object.entries(texts)) setText(find(box, `[data-sum="${name}"]`), text);
    setAttribute(box, "data-stale", stale ? "true" : null);
    const tone = all.connected === all.enabled ? "ok" : all.connected === 0 ? "error" : "warn";
    setAttribute(find(box, '[data-sum="connected"]'), "data-tone", known && all.enabled > 0 ? tone : null);
    setAttribute(find(box, '[data-sum="errors"]'), "data-tone", all.errors > 0 ? "error" : null);
    setAttribute(find(box, '[data-sum="held"]'), "data-tone", all.held > 0 ? "warn" : null);
  }

  private drawTools(): void {
    const paused = this.allPaused();
    const button = part(document, "pause-all");
    setAttribute(button, "aria-pressed", String(paused));
    setIcon(button, paused ? "play-fill" : "pause-fill");
    setText(part(button, "pause-all-word"), paused ? t("view.resume_all") : t("view.pause_all"));
    part<HTMLButtonElement>(document, "zoom-out").disabled = this.chartView.zoom === null;
    const control = part<HTMLButtonElement>(document, "feed-control");
    const stopped = Boolean(this.state.status?.paused);
    setHidden(control, !this.state.canControlFeed);
    control.disabled = this.link.kind !== "live";
    setText(part(control, "feed-control-word"), stopped ? t("feed.resume") : t("feed.pause"));
    setIcon(control, stopped ? "play-fill" : "stop-circle");
  }

  private drawLink(): void {
    const pill = part(document, "live");
    const icons = { live: "wifi", connecting: "arrow-repeat", waiting: "wifi-off", ended: "lock" } as const;
    setAttribute(pill, "data-state", this.link.kind);
    setIcon(part(pill, "live-icon"), icons[this.link.kind]);
    setText(part(pill, "live-word"), this.linkWords());
    const lines = Object.values(this.state.status?.connections ?? {});
    const tone = this.link.kind === "live" ? worst(lines) : this.link.kind === "connecting" ? "idle" : "error";
    const favicon = find<HTMLLinkElement>(document, "#favicon");
    setAttribute(favicon, "href", `${favicon.dataset["base"] ?? ""}${tone}.svg`);
  }

  private linkWords(): string {
    const { link } = this;
    if (link.kind === "live") return t("live.live");
    if (link.kind === "ended") return t("live.ended");
    if (link.kind === "connecting") return this.downSince === null ? t("live.connecting") : t("live.retrying");
    const seconds = Math.ceil((link.retryAt - Date.now()) / 1000);
    return seconds > 0 ? t("live.waiting", { span: span(seconds) }) : t("live.retrying");
  }

  /** Tells screen readers once per change, not every second of a countdown. */
  private announce(): void {
    const { link } = this;
    if (link.kind === "connecting") return;
    const words =
      link.kind === "waiting"
        ? t("live.offline", { time: clock(link.since / 1000) })
        : link.kind === "live"
          ? t("live.live")
          : t("live.ended");
    if (words === this.announced) return;
    this.announced = words;
    setText(part(document, "announce"), words);
  }

  private alertInput(): AlertInput {
    return {
      link: this.link,
      downSince: this.downSince,
      status: this.state.status,
      notices: this.notices,
      busErrorsSeen: this.busErrorsSeen,
    };
  }

  private drawBanners(input: AlertInput): void {
    const here = `${location.pathname}${location.search}`;
    const runs = {
      retry: () => this.channel.open(),
      resumeFeed: () => void this.resumeFeed(),
      dismissNotice: (code: string) => {
        this.notices = this.notices.filter((one) => one.code !== code);
        this.loop.mark();
      },
      dismissBusErrors: () => {
        this.busErrorsSeen = this.state.status?.bus_errors?.count ?? 0;
        this.loop.mark();
      },
      loginUrl: `/login?next=${encodeURIComponent(here)}`,
      canControlFeed: this.state.canControlFeed,
      now: this.now(),
      here: Date.now() / 1000,
    };
    this.banners.draw(alerts(input).map((alert) => toBanner(alert, runs)));
  }
}

/** Which identity colour a connection has: by its number, so that a colour stays with its line. */
function identity(id: string, index: number): number {
  const number = Number(/(\d+)$/.exec(id)?.[1] ?? index + 1);
  return ((number - 1) % 8) + 1;
}
