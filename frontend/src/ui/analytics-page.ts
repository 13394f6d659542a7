/**
 * The analytics page's conduct: which dashboard with which filter, what each message changes, what is exported. The filter
 * stands in the address. It must not know how figures look; that is analytics-view.
 */
import type { ClientError, Json } from "../client/index";
import { AnalyticsChannel } from "../socket/analytics-channel";
import { hubUrl } from "../socket/market-channel";
import {
  type Dashboard,
  DASHBOARDS,
  type Figures,
  filtersOf,
  type Happening,
  HOURS_DEFAULT,
  isFields,
  NO_FILTER,
  queryOf,
  readHappening,
  receive,
  roomOf,
  type View,
  viewOf,
  withView,
} from "../state/analytics";
import { csvOf, fileName } from "../state/analytics-csv";
import { type Counted, listAddress } from "../state/analytics-leads";
import { isEmpty, type Lead } from "../state/analytics-tables";
import { newClock, observe } from "../state/server-clock";
import { downSince, FRESH_LINK, follow, type StreamLink } from "../state/stream-link";
import { analyticsBanners } from "./analytics-banners";
import { AnalyticsView } from "./analytics-view";
import { Banners } from "./banners";
import type { ChartView } from "./chart";
import { find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { startFrame } from "./frame";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { followNetwork } from "./network.ts";
import type { Item } from "./palette";
import { saveFile } from "./save-file";
import { ago, clock, count, exact, t, word } from "./text";

/** The server counts at least every 18 s; figures that are older than this are stale. */
const STALE_S = 45;
const HOUR_S = 3_600;
/** What has happened, newest first. */
const HAPPENINGS_KEPT = 50;

export class AnalyticsPage {
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private view: View = viewOf(location.search);
  private clock = newClock(Number(part(document, "page").dataset["serverTime"]) - Date.now() / 1000, Date.now() / 1000);
  private link: StreamLink = FRESH_LINK;
  private offline = !navigator.onLine;
  private figures: Figures | null = null;
  private happenings: Happening[] = [];
  private refusal: ClientError | null = null;
  /** What is drawn while the view is paused: as it was then. */
  private paused: { at: number; figures: Figures | null; happenings: Happening[]; held: number } | null = null;
  private readonly chart: ChartView = { zoom: null, rangeS: 0, zoomed: (zoom) => this.zoom(zoom) };
  private readonly drawing = new AnalyticsView({
    chart: this.chart,
    list: (counted) => this.listOf(counted),
    lead: (lead) => this.lead(lead),
  });
  private readonly channel = new AnalyticsChannel(hubUrl(location), this.view, {
    link: (link) => {
      this.link = follow(this.link, link, Date.now());
      this.loop.mark();
    },
    update: (view, fields, place) => {
      if (roomOf(view) !== roomOf(this.view)) return;
      this.figures = receive(this.figures, fields, place);
      const { as_of: asOf } = fields;
      if (typeof asOf === "number") this.clock = observe(this.clock, asOf, Date.now() / 1000);
      if (this.paused !== null) this.paused.held += 1;
      this.loop.mark();
    },
    happened: (fields) => {
      const one = readHappening(fields);
      if (one !== null) this.happenings = [one, ...this.happenings].slice(0, HAPPENINGS_KEPT);
      this.loop.mark();
    },
    started: (_, reply) => {
      this.refusal = null;
      this.offer(reply);
      this.loop.mark();
    },
    refused: (_, error) => {
      this.refusal = error;
      // What somebody may no longer see does not stay on the screen.
      if (!error.temporary) [this.figures, this.happenings, this.paused] = [null, [], null];
      this.loop.mark();
    },
  });

  start(): void {
    startFrame({
      items: () => this.paletteItems(),
      key: (event) => this.onKey(event),
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.clock.offset,
    });
    for (const dashboard of DASHBOARDS) {
      this.tab(dashboard).addEventListener("click", (event) => {
        event.preventDefault();
        this.choose({ dashboard });
      });
    }
    this.select("hours").addEventListener("change", () => this.choose({ hours: Number(this.select("hours").value) }));
    this.select("state").addEventListener("change", () => this.choose({ state: this.select("state").value }));
    this.select("product").addEventListener("change", () => this.choose({ product: this.select("product").value }));
    for (const name of ["clear", "empty-clear"]) part(document, name).addEventListener("click", () => this.clear());
    part(document, "export").addEventListener("click", () => this.export());
    part(document, "pause").addEventListener("click", () => this.togglePause());
    part(document, "zoom-out").addEventListener("click", () => this.zoom(null));
    part(document, "twin").addEventListener("toggle", () => this.loop.mark());
    document.addEventListener("tidewire:theme", () => this.restyle());
    window.addEventListener("popstate", () => this.show(viewOf(location.search)));
    followNetwork(this.channel, (offline) => {
      this.offline = offline;
      this.loop.mark();
    });
    this.show(this.view);
    this.loop.add(() => this.draw());
    this.loop.start();
    this.channel.open();
  }

  // ---- what is looked at

  private choose(change: Partial<View>): void {
    const next = withView(this.view, change);
    if (roomOf(next) === roomOf(this.view)) return;
    history.pushState(null, "", `${location.pathname}${queryOf(next)}`);
    this.show(next);
  }

  private clear(): void {
    this.choose({ ...NO_FILTER, dashboard: this.view.dashboard });
  }

  private show(view: View): void {
    const other = roomOf(view) !== roomOf(this.view);
    this.view = view;
    this.chart.rangeS = (view.hours + 1) * HOUR_S;
    if (other) {
      [this.figures, this.happenings, this.refusal, this.paused, this.chart.zoom] = [null, [], null, null, null];
      this.drawing.restyle();
      this.channel.watch(view);
    }
    this.drawFilter();
    this.loop.mark();
  }

  private lead(lead: Exclude<Lead, null>): void {
    if (!("status" in lead)) {
      this.choose(lead);
      return;
    }
    const address = this.listOf(lead);
    if (address !== null) location.assign(address);
  }

  /** The list of the quotes behind a figure that is drawn now; null for who may not see quotes. */
  private listOf(counted: Counted): string | null {
    const figures = this.paused === null ? this.figures : this.paused.figures;
    if (figures === null || part(document, "page").dataset["mayList"] !== "true") return null;
    return listAddress(this.view, figures.asOf, counted);
  }

  /** Fills the fields with what the server says that there is. */
  private offer(reply: Json): void {
    const choices = isFields(reply) ? reply["choices"] : undefined;
    if (!isFields(choices)) return;
    for (const name of ["state", "product"] as const) {
      const found = choices[`${name}s`];
      const select = this.select(name);
      const known = new Set([...select.options].map((option) => option.value));
      for (const value of Array.isArray(found) ? found : []) {
        if (typeof value === "string" && !known.has(value)) select.append(this.option(name, value));
      }
    }
    this.drawFilter();
  }

  private option(name: "state" | "product", value: string): HTMLOptionElement {
    return new Option(name === "product" ? word("analytics.row.products", value) : value, value);
  }

  private select(name: "hours" | "state" | "product"): HTMLSelectElement {
    return find<HTMLSelectElement>(document, `#a-${name}`);
  }

  private tab(dashboard: Dashboard): HTMLAnchorElement {
    return find<HTMLAnchorElement>(document, `[data-dashboard="${dashboard}"]`);
  }

  // ---- view

  private togglePause(): void {
    const { figures, happenings } = this;
    this.paused = this.paused === null ? { at: this.now(), figures, happenings, held: 0 } : null;
    this.loop.mark();
  }

  private zoom(zoom: ChartView["zoom"]): void {
    this.chart.zoom = zoom;
    this.loop.mark();
  }

  private restyle(): void {
    this.drawing.restyle();
    this.loop.mark();
  }

  /** The figures that are on the page: a file of exactly these. */
  private export(): void {
    const { view } = this;
    const figures = this.paused === null ? this.figures : this.paused.figures;
    if (figures === null || part(document, "export").hidden) return;
    const { tiles, tables } = this.drawing.shown(view, figures);
    const text = csvOf(view, figures.asOf, tiles, tables);
    const file = fileName(view, figures.asOf);
    saveFile(file, new Blob([text], { type: "text/csv;charset=utf-8" }));
    setText(part(document, "announce"), t("analytics.exported", { file }));
  }

  private now(): number {
    return Date.now() / 1000 + this.clock.offset;
  }

  // ---- drawing

  private draw(): void {
    const figures = this.paused === null ? this.figures : this.paused.figures;
    const happenings = this.paused === null ? this.happenings : this.paused.happenings;
    const now = this.now();
    const empty = figures !== null && isEmpty(this.view.dashboard, figures.parts);
    setHidden(part(document, "skeleton"), figures !== null || this.refusal !== null);
    setHidden(part(document, "figures"), figures === null || empty);
    setHidden(part(document, "empty"), !empty);
    setHidden(part(document, "news"), figures === null);
    setAttribute(part(document, "page"), "aria-busy", String(figures === null && this.refusal === null));
    this.drawAge(figures, now);
    this.drawPause();
    if (figures !== null && !empty) this.drawing.draw(this.view, figures);
    if (empty) this.drawEmpty();
    this.drawing.drawHappenings(happenings, now);
    part<HTMLButtonElement>(document, "export").disabled = figures === null;
    part<HTMLButtonElement>(document, "zoom-out").disabled = this.chart.zoom === null;
    this.drawLink();
  }

  private drawAge(figures: Figures | null, now: number): void {
    const age = part(document, "age");
    if (figures === null) {
      setText(age, "");
      setAttribute(part(document, "page"), "data-stale", null);
      return;
    }
    const seconds = Math.max(0, now - figures.asOf);
    const stale = seconds > STALE_S || this.link.kind !== "live";
    setAttribute(part(document, "page"), "data-stale", stale ? "true" : null);
    const words = { ago: ago(seconds), time: clock(figures.asOf) };
    setText(age, t(stale && this.paused === null ? "analytics.stale" : "analytics.as_of", words));
    setAttribute(age, "title", exact(figures.asOf));
  }

  private drawPause(): void {
    const { paused } = this;
    const button = part<HTMLButtonElement>(document, "pause");
    setAttribute(button, "aria-pressed", String(paused !== null));
    setIcon(button, paused !== null ? "play-fill" : "pause-fill");
    setText(part(button, "pause-word"), t(paused !== null ? "view.resume" : "list.pause"));
    const words = paused === null ? "" : t("analytics.paused", { time: clock(paused.at), held: count(paused.held) });
    setText(part(document, "view-state"), words);
  }

  private drawEmpty(): void {
    const { hours, state, product, dashboard } = this.view;
    const filtered = state !== "" || product !== "";
    const what = dashboard === "performance" ? "analytics.empty.performance" : "analytics.empty.quotes";
    setText(part(document, "empty-title"), t(what, { hours: word("analytics.hours", String(hours)) }));
    setText(part(document, "empty-words"), t(filtered ? "analytics.empty.filtered" : "analytics.empty.words"));
    setHidden(part(document, "empty-clear"), !filtered && hours === HOURS_DEFAULT);
  }

  private drawFilter(): void {
    const { dashboard, hours, state, product } = this.view;
    for (const one of DASHBOARDS) setAttribute(this.tab(one), "aria-current", one === dashboard ? "page" : null);
    const choose = (select: HTMLSelectElement, value: string, made: () => HTMLOptionElement): void => {
      if (![...select.options].some((option) => option.value === value)) select.append(made());
      select.value = value;
    };
    const named = word("analytics.hours", String(hours));
    const words = named === String(hours) ? t("analytics.hours.other", { hours: count(hours) }) : named;
    choose(this.select("hours"), String(hours), () => new Option(words, String(hours)));
    choose(this.select("state"), state, () => this.option("state", state));
    choose(this.select("product"), product, () => this.option("product", product));
    for (const name of ["state", "product"]) setHidden(part(document, `field-${name}`), dashboard === "performance");
    const filters = Object.keys(filtersOf(this.view)).length;
    part<HTMLButtonElement>(document, "clear").disabled = filters === 1 && hours === HOURS_DEFAULT;
  }

  private drawLink(): void {
    const { link, offline } = this;
    const kind = link.kind === "live" && this.refusal !== null && !this.refusal.temporary ? "ended" : link.kind;
    const retryAt = link.kind === "waiting" ? link.retryAt : null;
    const failing = this.figures?.parts["failure"] !== undefined || this.refusal !== null;
    this.pill.draw({ kind, downSince: downSince(link), retryAt, offline }, failing ? "warn" : "ok");
    const runs = { retry: () => this.channel.retryNow(), again: () => this.channel.open(), clear: () => this.clear() };
    this.banners.draw(analyticsBanners(link, this.refusal, this.figures, runs));
  }

  // ---- keys and palette

  private onKey(event: KeyboardEvent): boolean {
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key === " " && !onControl) this.togglePause();
    else if (event.key === "/") this.select("hours").focus();
    else if (event.key.toLowerCase() === "e") this.export();
    else return false;
    return true;
  }

  private paletteItems(): Item[] {
    const kind = t("palette.kind.action");
    return [
      ...DASHBOARDS.map((dashboard) => ({
        kind: t("palette.kind.page"),
        name: `${t("analytics.title")}: ${word("analytics.dashboard", dashboard)}`,
        run: () => this.choose({ dashboard }),
      })),
      { kind, name: t("analytics.export"), run: () => this.export() },
      { kind, name: t(this.paused === null ? "list.pause" : "view.resume"), run: () => this.togglePause() },
    ];
  }
}
