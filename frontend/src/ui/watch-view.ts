/**
 * Draws the streaming page from its model: rows, banners, pause and the state of the link. It must not know the socket,
 * and it decides nothing: what is pressed goes to the actions it is given.
 */
import { downSince, type StreamLink } from "../state/stream-link";
import { isStale, shown, type WatchList } from "../state/watch-list";
import { Banners } from "./banners";
import { part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { loginUrl } from "./link-banners";
import { LinkPill } from "./link-pill";
import type { SparkColours } from "./sparkline";
import { type BannerRuns, bannersOf } from "./streaming-banners";
import { clock, count, t } from "./text";
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

export class WatchView {
  private readonly body = part(document, "rows");
  private readonly banners = new Banners(part(document, "banners"));
  private readonly rows = new Map<string, WatchRow>();
  private readonly model: WatchModel;
  private readonly actions: WatchActions;
  private order: string[] | null = null;
  private colours: SparkColours = { line: "", base: "" };
  private readonly pill = new LinkPill();

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
    const { link, offline } = this.model;
    const retryAt = link.kind === "waiting" ? link.retryAt : null;
    this.pill.draw({ kind: link.kind, downSince: downSince(link), retryAt, offline }, "ok");
  }

  private bannerRuns(): BannerRuns {
    return { ...this.actions, loginUrl: loginUrl(), nowMs: Date.now() };
  }
}
