/**
 * Draws the feed page from its model: columns, sums, banners, tools and the state of the link. It must not know the
 * socket, and it decides nothing: what is pressed goes to the actions it is given.
 */
import type { LinkState } from "../socket/admin-channel";
import { UNASSIGNED } from "../socket/wire";
import { type AlertInput, alerts, staleSince } from "../state/alerts";
import { allPaused, type Dashboard, type Notice, rate, sums } from "../state/dashboard";
import { worst } from "../state/line-badge";
import { type BannerRuns, toBanner } from "./alert-banners";
import { Banners } from "./banners";
import type { ChartView } from "./chart";
import { type ColumnActions, ColumnView, emptyText } from "./column";
import { find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { loginUrl } from "./link-banners";
import { LinkPill } from "./link-pill";
import { NodesView } from "./nodes";
import { StreamView } from "./stream";
import { count, decimal, t } from "./text";

/** All that the page shows beside the feed's own state. */
export interface FeedModel {
  readonly state: Dashboard;
  readonly chartView: ChartView;
  link: LinkState;
  /** Since when the page's own socket is down, Unix seconds. */
  downSince: number | null;
  notices: Notice[];
  busErrorsSeen: number;
  /** What the second chart of every column shows. */
  metric: string;
}

export interface FeedActions extends ColumnActions {
  retry(): void;
  resumeFeed(): void;
  dismissNotice(code: string): void;
  dismissBusErrors(): void;
}

export class FeedView {
  readonly columns = new Map<string, ColumnView>();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly unassigned: StreamView;
  private drawnLayout = -1;
  private readonly pill = new LinkPill();
  private readonly nodes = new NodesView();
  private readonly model: FeedModel;
  private readonly actions: FeedActions;

  constructor(model: FeedModel, actions: FeedActions) {
    this.model = model;
    this.actions = actions;
    this.unassigned = new StreamView(part(document, "unassigned"), UNASSIGNED, t("unassigned.title"), actions);
  }

  /** The stream of a column, or of the ticks nobody owns. */
  stream(id: string): StreamView | undefined {
    return id === UNASSIGNED ? this.unassigned : this.columns.get(id)?.stream;
  }

  /** Colours or the zone changed: everything drawn from them is drawn anew. */
  restyle(): void {
    for (const view of this.columns.values()) view.restyle();
    for (const column of this.model.state.columns.values()) column.version.stream += 1;
  }

  private now(): number {
    return Date.now() / 1000 + this.model.state.clockOffset;
  }

  draw(): void {
    if (this.model.state.version.layout !== this.drawnLayout) this.layOut();
    const input = this.alertInput();
    const context = { now: this.now(), staleSince: staleSince(input), metric: this.model.metric, chartBudget: 1 };
    let complete = true;
    for (const [id, view] of this.columns) {
      const column = this.model.state.columns.get(id);
      if (column !== undefined) complete = view.draw(this.model.state, column, context) && complete;
    }
    if (!complete) this.actions.redraw();
    this.drawUnassigned();
    this.drawSums(context.staleSince !== null);
    this.nodes.draw(this.model.state.status, context.now, this.model.link.kind !== "live");
    this.drawTools();
    this.drawLink();
    this.drawBanners(input);
  }

  /** Adds and removes columns; those that stay are not touched. */
  private layOut(): void {
    this.drawnLayout = this.model.state.version.layout;
    const box = part(document, "columns");
    const wanted = [...this.model.state.columns.values()].filter((one) => one.line !== null).map((one) => one.id);
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
      const view = new ColumnView(id, identity(id, index), this.model.chartView, this.actions);
      this.columns.set(id, view);
      box.append(view.root);
    }
    box.dataset["count"] = String(wanted.length);
  }

  private drawUnassigned(): void {
    const column = this.model.state.columns.get(UNASSIGNED);
    const section = part(document, "unassigned");
    setHidden(section, column === undefined || column.messages === 0);
    if (column === undefined) return;
    const figures = {
      count: count(column.messages),
      rate: decimal(rate(column) ?? this.model.state.status?.unassigned?.messages_per_second),
    };
    setText(part(section, "unassigned-count"), t("unassigned.count", figures));
    this.unassigned.draw(this.model.state, column, emptyText(this.model.state, null, column));
  }

  private drawSums(stale: boolean): void {
    const all = sums(this.model.state);
    const known = this.model.state.status !== null;
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
    const paused = allPaused(this.model.state);
    const button = part(document, "pause-all");
    setAttribute(button, "aria-pressed", String(paused));
    setIcon(button, paused ? "play-fill" : "pause-fill");
    setText(part(button, "pause-all-word"), paused ? t("view.resume_all") : t("view.pause_all"));
    part<HTMLButtonElement>(document, "zoom-out").disabled = this.model.chartView.zoom === null;
    const control = part<HTMLButtonElement>(document, "feed-control");
    const stopped = Boolean(this.model.state.status?.paused);
    setHidden(control, !this.model.state.canControlFeed);
    control.disabled = this.model.link.kind !== "live";
    setText(part(control, "feed-control-word"), stopped ? t("feed.resume") : t("feed.pause"));
    setIcon(control, stopped ? "play-fill" : "stop-circle");
  }

  private drawLink(): void {
    const { link, downSince } = this.model;
    const look = {
      kind: link.kind,
      downSince: link.kind === "waiting" ? link.since : downSince,
      retryAt: link.kind === "waiting" ? link.retryAt : null,
      offline: false,
    };
    this.pill.draw(look, worst(Object.values(this.model.state.status?.connections ?? {})));
  }

  private alertInput(): AlertInput {
    return {
      link: this.model.link,
      downSince: this.model.downSince,
      status: this.model.state.status,
      notices: this.model.notices,
      busErrorsSeen: this.model.busErrorsSeen,
    };
  }

  private drawBanners(input: AlertInput): void {
    const runs: BannerRuns = {
      ...this.actions,
      loginUrl: loginUrl(),
      canControlFeed: this.model.state.canControlFeed,
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
