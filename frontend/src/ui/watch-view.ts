/**
 * Draws the streaming page from its model: rows, banners, pause and the state of the link. It must not know the socket,
 * and it decides nothing: what is pressed goes to the actions it is given.
 */
import { downSince, type StreamLink } from "../state/stream-link";
import { isStale, shown, type WatchList } from "../state/watch-list";
import { Banners } from "./banners";
import { part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { showHealth } from "./favicon";
import type { SparkColours } from "./sparkline";
import { type BannerRuns, bannersOf } from "./streaming-banners";
import { clock, count, span, t } from "./text";
import { WatchRow } from "./watch-row";

export interface WatchModel {
  list: WatchList;
  link: StreamLink;
  /** The browser says that there is no network. */
  offline: boolean;
  /** Server clock minus this browser's, seconds. */
  clockOffset: number;
}

export interface WatchActions extends Omit<BannerRuns, "loginUrl" | "nowMs"> {
  remove(symbol: string): void;
}

const ICONS = { live: "wifi", connecting: "arrow-repeat", waiting: "wifi-off", ended: "lock" } as const;

export class WatchView {
  private readonly body = part(document, "rows");
  private readonly banners = new Banners(part(document, "banners"));
  private readonly rows = new Map<string, WatchRow>();
  private readonly model: WatchModel;
  private readonly actions: WatchActions;
  private order: string[] | null = null;
  private colours: SparkColours = { line: "", base: "" };
  private announced = "";

  constructor(model: WatchModel, actions: WatchActions) {
    this.model = model;
    this.actions = actions;
    this.restyle();
  }

  /** The theme changed: charts take their colours anew. */
  restyle(): void {
    const css = getComputedStyle(document.documentElement);
    this.colours = {
      line: css.getPropertyValue("--tw-accent").trim(),
      base: css.getPropertyValue("--tw-chart-ink").trim(),
    };
  }

  /** Server time, Unix seconds. */
  now(): number {
    return Date.now() / 1000 + this.model.clockOffset;
  }

  row(symbol: string): WatchRow | undefined {
    return this.rows.get(symbol);
  }

  draw(): void {
    const { list, link } = this.model;
    this.layOut();
    const context = { now: list.paused?.at ?? this.now(), live: link.kind === "live", colours: this.colours };
    for (const row of shown(list)) this.rows.get(row.symbol)?.draw(row, context);
    this.drawTools();
    this.drawLink();
    this.banners.draw(bannersOf(link, list, this.bannerRuns()));
    this.announce();
  }

  /** Adds and removes rows; those that stay are not touched. */
  private layOut(): void {
    const wanted = this.model.list.rows.map((row) => row.symbol);
    if (this.order !== null && wanted.join() === this.order.join()) return;
    this.order = wanted;
    for (const [symbol, view] of this.rows) {
      if (wanted.includes(symbol)) continue;
      view.root.remove();
      this.rows.delete(symbol);
    }
    for (const [place, symbol] of wanted.entries()) {
      const view = this.rows.get(symbol) ?? new WatchRow(symbol, (one) => this.actions.remove(one));
      this.rows.set(symbol, view);
      if (this.body.children[place] !== view.root) this.body.insertBefore(view.root, this.body.children[place] ?? null);
    }
    setHidden(part(document, "list"), wanted.length === 0);
    setHidden(part(document, "empty"), wanted.length > 0);
  }

  private drawTools(): void {
    const { list, link } = this.model;
    const { paused } = list;
    const button = part<HTMLButtonElement>(document, "pause");
    setAttribute(button, "aria-pressed", String(paused !== null));
    setIcon(button, paused === null ? "pause-fill" : "play-fill");
    setText(part(button, "pause-word"), paused === null ? t("watch.pause") : t("view.resume"));
    button.disabled = list.rows.length === 0 && paused === null;
    const state = part(document, "stream-state");
    setAttribute(state, "data-view", paused === null ? "live" : "paused");
    const stale = link.kind === "live" ? list.rows.filter((row) => isStale(row, this.now())).length : 0;
    const words =
      paused !== null
        ? t("view.paused", { time: clock(paused.at), held: count(paused.held) })
        : t("watch.sum", { count: count(list.rows.length), stale: count(stale) });
    setText(state, list.rows.length === 0 ? "" : words);
  }

  private drawLink(): void {
    const { link } = this.model;
    const pill = part(document, "live");
    setAttribute(pill, "data-state", link.kind);
    setIcon(part(pill, "live-icon"), ICONS[link.kind]);
    setText(part(pill, "live-word"), this.linkWords());
    const since = downSince(link);
    setAttribute(pill, "title", since === null ? null : t("live.offline", { time: clock(since / 1000) }));
    const tone = link.kind === "live" ? "ok" : link.kind === "connecting" ? "idle" : "error";
    showHealth(tone);
  }

  private linkWords(): string {
    const { link, offline } = this.model;
    if (link.kind === "live") return t("live.live");
    if (link.kind === "ended") return t("live.ended");
    const since = link.downSince;
    // Without a network no attempt can succeed, so a countdown would promise too much.
    if (offline && since !== null) return t("live.offline", { time: clock(since / 1000) });
    if (link.kind === "connecting") return since === null ? t("live.connecting") : t("live.retrying");
    const seconds = Math.ceil((link.retryAt - Date.now()) / 1000);
    return seconds > 0 ? t("live.waiting", { span: span(seconds) }) : t("live.retrying");
  }

  /** Tells screen readers once per change, not every second of a countdown. */
  private announce(): void {
    const { link } = this.model;
    if (link.kind === "connecting") return;
    const words =
      link.kind === "waiting"
        ? t("live.offline", { time: clock(link.downSince / 1000) })
        : link.kind === "live"
          ? t("live.live")
          : t("live.ended");
    if (words === this.announced) return;
    this.announced = words;
    setText(part(document, "announce"), words);
  }

  private bannerRuns(): BannerRuns {
    const here = `${location.pathname}${location.search}`;
    return { ...this.actions, loginUrl: `/login?next=${encodeURIComponent(here)}`, nowMs: Date.now() };
  }
}
