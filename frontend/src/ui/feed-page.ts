/**
 * The feed page's conduct: what each message changes, and what each button asks of the channel. State changes in
 * state/, drawing happens in feed-view; keys and the palette are in feed-commands.
 */
import { AdminChannel, type LinkState } from "../socket/admin-channel";
import type { ErrorObject, Filter } from "../socket/wire";
import {
  addNotice,
  allPaused,
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
} from "../state/dashboard";
import { part } from "./dom";
import { type FeedCommands, onKey, paletteItems } from "./feed-commands";
import { PauseFeedDialog } from "./feed-control";
import { type FeedActions, type FeedModel, FeedView } from "./feed-view";
import { FilterForm } from "./filter-form";
import { startFrame } from "./frame";
import { InspectDialog } from "./inspect";
import { Loop } from "./loop";
import { followPage } from "./network.ts";
import { problemWords } from "./problem-words";

const METRIC_KEY = "tidewire.metric";
const RANGE_KEY = "tidewire.range";

export class FeedPage {
  private readonly loop = new Loop();
  private readonly model: FeedModel = {
    state: newDashboard(),
    chartView: {
      zoom: null,
      rangeS: Number(localStorage.getItem(RANGE_KEY) ?? 900),
      zoomed: (zoom) => this.zoom(zoom),
    },
    link: { kind: "connecting" },
    downSince: null,
    notices: [],
    busErrorsSeen: 0,
    metric: localStorage.getItem(METRIC_KEY) ?? "latency",
  };
  private readonly state = this.model.state;
  private readonly view = new FeedView(this.model, this.actions());
  private readonly filterForm = new FilterForm((filter) => void this.sendFilter(filter));
  private readonly inspect = new InspectDialog((id) => this.channel.ask("inspect_tick", { id }));
  private readonly pauseFeed = new PauseFeedDialog((reason) => this.askPauseFeed(reason));
  private readonly channel = new AdminChannel(
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
  private filterProblem: string | null = null;
  private filterWaiting = false;

  start(): void {
    this.wireTools();
    const commands = this.commands();
    startFrame({
      items: () => paletteItems(this.model, commands),
      key: (event) => onKey(event, commands),
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.state.clockOffset,
    });
    document.addEventListener("tidewire:theme", () => this.restyle());
    followPage(this.channel);
    this.loop.add(() => {
      this.view.draw();
      this.filterForm.say(this.state.filter, this.filterWaiting, this.filterProblem);
    });
    this.loop.start();
    this.channel.open();
  }

  // ---- from the channel ----

  private apply(change: () => void): void {
    change();
    this.loop.mark();
  }

  private onLink(link: LinkState): void {
    this.model.link = link;
    if (link.kind === "waiting") {
      this.model.downSince = link.since / 1000;
      carryHeld(this.state);
    } else if (link.kind === "live") this.model.downSince = null;
    this.apply(() => beginSync(this.state));
  }

  /** After every connect: options first, so that the snapshot's ticks are filtered; then pauses; then everything. */
  private async synchronise(): Promise<void> {
    await this.setOptions(this.filterForm.filter);
    for (const column of [...this.state.columns.values()]) {
      if (column.pausedAt !== null) await this.channel.ask("pause_stream", { connection_id: column.id });
    }
    const answer = await this.channel.ask("request_snapshot", {});
    if (answer.ok) {
      this.apply(() => {
        applySnapshot(this.state, answer, Date.now() / 1000);
        applyPaused(this.state, answer.paused);
      });
    } else if (this.channel.live) this.notice(answer.error);
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
    this.filterProblem = answer.ok ? null : problemWords(answer.error);
    if (answer.ok) this.apply(() => applyFilter(this.state, answer.options.filter));
    this.filterWaiting = false;
    this.loop.mark();
  }

  private notice(error: ErrorObject): void {
    this.model.notices = addNotice(this.model.notices, error, Date.now() / 1000);
    this.loop.mark();
  }

  // ---- what buttons and keys ask ----

  private actions(): FeedActions {
    return {
      pause: (id) => void this.pause([id]),
      resume: (id) => void this.resume([id]),
      clear: (id) => this.apply(() => clearView(this.state, [id])),
      inspect: (tick) => void this.inspect.open(tick),
      redraw: () => this.loop.mark(),
      chooseMetric: (metric) => {
        this.model.metric = metric;
        localStorage.setItem(METRIC_KEY, metric);
        this.loop.mark();
      },
      retry: () => this.channel.open(),
      resumeFeed: () => void this.resumeFeed(),
      dismissNotice: (code) => {
        this.model.notices = this.model.notices.filter((one) => one.error.code !== code);
        this.loop.mark();
      },
      dismissBusErrors: () => {
        this.model.busErrorsSeen = this.state.status?.bus_errors?.count ?? 0;
        this.loop.mark();
      },
    };
  }

  private commands(): FeedCommands {
    const ids = (): string[] => [...this.state.columns.keys()];
    return {
      togglePauseAll: () => void (allPaused(this.state) ? this.resume(ids()) : this.pause(ids())),
      togglePause: (id) => this.view.stream(id)?.togglePause(),
      jump: (id) => {
        for (const one of id === null ? ids() : [id]) this.view.stream(one)?.jump();
      },
      clearAll: () => {
        for (const id of ids()) this.view.stream(id)?.clear();
      },
      focusColumn: (index) => this.focusColumn(index),
      focusFilter: () => this.filterForm.focus(),
      setFilter: (fields) => this.filterForm.set(fields),
      toggleFeed: () => {
        if (this.state.status?.paused) void this.resumeFeed();
        else this.pauseFeed.open();
      },
    };
  }

  private async pause(ids: string[]): Promise<void> {
    const fresh = ids.filter((id) => this.state.columns.get(id)?.pausedAt === null);
    this.apply(() => pauseView(this.state, fresh, Date.now() / 1000 + this.state.clockOffset));
    for (const id of fresh) {
      const answer = await this.channel.ask("pause_stream", { connection_id: id });
      if (answer.ok) this.apply(() => applyPaused(this.state, answer.paused));
      // Cut off: the view stays held, and the server is told when the page is back (see synchronise).
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
        this.view.stream(id)?.setSkipped(answer.skipped[id] ?? 0);
        this.apply(() => applyResumed(this.state, [id], answer));
      } else if (this.channel.live) this.notice(answer.error);
      else this.apply(() => releaseView(this.state, [id]));
    }
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

  private focusColumn(index: number): boolean {
    const view = [...this.view.columns.values()][index];
    view?.root.focus();
    view?.root.scrollIntoView({ block: "nearest", inline: "nearest" });
    return view !== undefined;
  }

  private zoom(zoom: { min: number; max: number } | null): void {
    if (JSON.stringify(zoom) === JSON.stringify(this.model.chartView.zoom)) return;
    this.model.chartView.zoom = zoom;
    this.redrawCharts();
  }

  private redrawCharts(): void {
    for (const column of this.state.columns.values()) column.version.history += 1;
    this.loop.mark();
  }

  private restyle(): void {
    this.view.restyle();
    this.loop.mark();
  }

  private wireTools(): void {
    const commands = this.commands();
    part(document, "pause-all").addEventListener("click", () => commands.togglePauseAll());
    part(document, "jump-all").addEventListener("click", () => commands.jump(null));
    part(document, "clear-all").addEventListener("click", () => commands.clearAll());
    part(document, "feed-control").addEventListener("click", () => commands.toggleFeed());
    part(document, "zoom-out").addEventListener("click", () => this.zoom(null));
    const range = part<HTMLSelectElement>(document, "range");
    range.value = String(this.model.chartView.rangeS);
    range.addEventListener("change", () => {
      this.model.chartView.rangeS = Number(range.value);
      this.model.chartView.zoom = null;
      localStorage.setItem(RANGE_KEY, range.value);
      this.redrawCharts();
    });
  }
}
