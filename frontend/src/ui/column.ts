/**
 * One connection's column: badge, configuration, figures, charts, endings, warnings and its stream. Draws what the
 * state says and reports what is pressed; it must not know the socket.
 */
import type { Ending, LineHealth } from "../socket/wire";
import { type Column, type Dashboard, rate } from "../state/dashboard";
import { charted, HISTORY_POINTS, isTotal, type Metric } from "../state/history";
import { badgeOf } from "../state/line-badge";
import { Chart, type ChartLine, type ChartView } from "./chart";
import { element, find, fromTemplate, part, setAttribute, setIcon, setText } from "./dom";
import { endingWords } from "./server-words";
import { type StreamActions, StreamView } from "./stream";
import {
  agoRoughly,
  bytes,
  clock,
  compact,
  count,
  decimal,
  exact,
  type Key,
  milliseconds,
  NONE,
  span,
  t,
  word,
} from "./text";

/** What the second chart can show. */
const CHOICES = [
  "latency",
  "bytes_per_second",
  "last_tick_age",
  "gaps",
  "duplicates",
  "parse_errors",
  "reconnects",
  "queue_depth",
  "dropped",
] as const;
type Choice = (typeof CHOICES)[number];

export interface ColumnActions extends StreamActions {
  /** The second chart of every column shows `choice` from now on. */
  chooseMetric(choice: string): void;
}

/** What a column shows beyond its own state. */
export interface DrawContext {
  /** Server time, Unix seconds. */
  now: number;
  /** Since when figures are old, Unix seconds; null while they are fresh. */
  staleSince: number | null;
  metric: string;
  /** How many columns may still draw their charts in this frame; six charts at once would miss it. */
  chartBudget: number;
}

export class ColumnView {
  readonly root: HTMLElement;
  readonly stream: StreamView;
  private readonly charts: [Chart, Chart];
  private readonly select: HTMLSelectElement;
  private drawn = { status: -1, history: -1, tickers: "", endings: "", warnings: "", metric: "" };
  private tickers: readonly string[] = [];
  private name = "";
  private readonly id: string;
  private readonly view: ChartView;

  constructor(id: string, order: number, view: ChartView, actions: ColumnActions) {
    this.id = id;
    this.view = view;
    this.root = fromTemplate("column");
    this.root.dataset["connection"] = id;
    this.root.dataset["testid"] = "column";
    this.root.dataset["identity"] = String(order);
    const heading = `column-${id}`;
    part(this.root, "name").id = heading;
    setAttribute(this.root, "aria-labelledby", heading);
    this.stream = new StreamView(this.root, id, id, actions);
    this.charts = [1, 2].map(
      (n) => new Chart(part(this.root, `chart-${n}`), part(this.root, `chart-read-${n}`), view, "--tw-identity"),
    ) as [Chart, Chart];
    this.select = part<HTMLSelectElement>(this.root, "chart-metric");
    for (const choice of CHOICES) this.select.append(element("option", { value: choice }, t(`metric.${choice}`)));
    this.select.addEventListener("change", () => actions.chooseMetric(this.select.value));
    part(this.root, "ticker-search").addEventListener("input", () => this.drawTickers());
    part(this.root, "config").addEventListener("toggle", () => this.drawTickers());
  }

  /** Colours or the zone changed. */
  restyle(): void {
    for (const chart of this.charts) chart.restyle();
    this.drawn.history = -1;
  }

  destroy(): void {
    for (const chart of this.charts) chart.destroy();
    this.stream.destroy();
    this.root.remove();
  }

  /** True if it is drawn completely; false if its charts wait for the next frame. */
  draw(dashboard: Dashboard, column: Column, context: DrawContext): boolean {
    const line = column.line;
    if (line === null) return true;
    if (column.version.status !== this.drawn.status) {
      this.drawn.status = column.version.status;
      this.drawStatus(line);
    }
    this.drawTimes(column, line, context);
    this.drawFigures(column, line, context);
    const chartsDue = column.version.history !== this.drawn.history || context.metric !== this.drawn.metric;
    const chartsNow = chartsDue && context.chartBudget > 0;
    if (chartsNow) {
      context.chartBudget -= 1;
      this.drawn.history = column.version.history;
      this.drawn.metric = context.metric;
      this.drawCharts(column, context.metric);
    }
    this.stream.draw(dashboard, column, emptyText(dashboard, line, column));
    return chartsNow || !chartsDue;
  }

  private drawStatus(line: LineHealth): void {
    this.name = line.name;
    const badge = badgeOf(line);
    setAttribute(this.root, "data-status", line.status);
    setAttribute(this.root, "data-state", line.state ?? line.status);
    setText(part(this.root, "name"), line.name);
    setText(part(this.root, "id"), this.id.replace("_", " "));
    const shown = part(this.root, "badge");
    setAttribute(shown, "data-tone", badge.tone);
    setAttribute(shown, "data-status", line.status);
    setIcon(part(this.root, "badge-icon"), badge.icon);
    const status = word("status", badge.status);
    setText(part(this.root, "badge-word"), badge.state === null ? status : `${status} · ${word("state", badge.state)}`);
    setText(part(this.root, "universe"), line.universe_key ?? t("config.none"));
    setText(part(this.root, "ticker-count"), t("config.count", { count: count(line.assigned_tickers) }));
    const key = JSON.stringify(line.tickers ?? []);
    if (key !== this.drawn.tickers) {
      this.drawn.tickers = key;
      this.tickers = (line.tickers ?? []).toSorted();
      this.drawTickers();
    }
    this.drawEndings(line.endings ?? []);
    this.drawWarnings(line);
  }

  private drawTimes(column: Column, line: LineHealth, context: DrawContext): void {
    const since = line.state_since ?? (line.status === "connected" ? (line.connected_since ?? null) : null);
    const from = part(this.root, "since");
    // While figures are old, nobody knows how long it went on: spans stop where knowledge stops.
    const known = context.staleSince ?? context.now;
    setText(from, since === null ? "" : t("line.since", { time: clock(since), span: span(known - since) }));
    setAttribute(from, "title", since === null ? null : exact(since));
    const retry = part(this.root, "retry");
    const stale = context.staleSince !== null && line.enabled;
    setText(retry, stale ? t("time.as_of", { time: clock(context.staleSince) }) : retryText(line, context.now));
    const error = part(this.root, "last-error");
    const text = lastErrorOf(line);
    setText(error, text);
    setAttribute(
      error,
      "title",
      line.last_bad_sample ? `${text}\n${t("line.bad_sample", { text: line.last_bad_sample })}` : text,
    );
    setAttribute(error, "data-tone", line.last_error ? "error" : null);
    setAttribute(this.root, "data-stale", stale ? "true" : null);
    if (column.lastUpdate !== null) setAttribute(this.figure("last_update"), "title", exact(column.lastUpdate));
  }

  private drawFigures(column: Column, line: LineHealth, context: DrawContext): void {
    const point = (metric: Metric): number | null => column.history.series[metric].at(-1) ?? null;
    const uptime =
      line.status === "connected" && line.connected_since
        ? (context.staleSince ?? context.now) - line.connected_since
        : null;
    const p50 = point("latency_p50") ?? line.latency_ms?.p50;
    const p99 = point("latency_p99") ?? line.latency_ms?.p99;
    const figures: Record<string, string> = {
      messages_per_second: decimal(line.enabled ? rate(column) : null),
      message_count: count(column.messages),
      error_count: count(column.errors),
      uptime: span(uptime),
      last_update: column.lastUpdate === null ? NONE : agoRoughly(context.now - column.lastUpdate),
      latency: `${compact(p50)} / ${compact(p99)}`,
      bytes_per_second: bytes(point("bytes_per_second") ?? line.bytes_per_second),
      reconnects: count(point("reconnects") ?? line.reconnects),
      gaps: count(point("gaps") ?? line.gaps),
      duplicates: count(point("duplicates") ?? line.duplicates),
      parse_errors: count(point("parse_errors") ?? line.parse_errors),
      queue_drops: `${count(point("queue_depth") ?? line.queue_depth)} / ${count(point("dropped") ?? line.dropped)}`,
    };
    for (const [name, text] of Object.entries(figures)) setText(this.figure(name), text);
    setAttribute(this.figure("error_count"), "data-tone", column.errors > 0 ? "error" : null);
  }

  private figure(name: string): HTMLElement {
    return find(this.root, `[data-figure="${name}"]`);
  }

  private drawTickers(): void {
    const open = part<HTMLDetailsElement>(this.root, "config").open;
    if (!open) return;
    const wanted = part<HTMLInputElement>(this.root, "ticker-search").value.trim().toUpperCase();
    const found = this.tickers.filter((ticker) => ticker.toUpperCase().includes(wanted));
    part(this.root, "tickers").replaceChildren(...found.map((ticker) => element("li", {}, ticker)));
    setText(
      part(this.root, "ticker-found"),
      t("config.found", { found: count(found.length), total: count(this.tickers.length) }),
    );
  }

  private drawEndings(endings: readonly Ending[]): void {
    const key = JSON.stringify(endings);
    if (key === this.drawn.endings) return;
    this.drawn.endings = key;
    setText(part(this.root, "endings-title"), t("endings.title", { count: count(endings.length) }));
    const rows = endings
      .toSorted((a, b) => b.at - a.at)
      .map((one) =>
        element(
          "li",
          {},
          element("time", { title: exact(one.at) }, clock(one.at)),
          ` ${word("stage", one.stage)} · `,
          element("code", {}, one.cause),
          element("span", { class: "ending-text", title: one.message }, endingWords(one.cause, one.message)),
        ),
      );
    const list = part(this.root, "endings-list");
    list.replaceChildren(...(rows.length > 0 ? rows : [element("li", {}, t("endings.none"))]));
  }

  private drawWarnings(line: LineHealth): void {
    const refused = line.refused_topics ?? [];
    const extra = refused.length > 0 ? [t("warnings.refused", { topics: refused.join(", ") })] : [];
    const warnings = [...(line.warnings ?? []), ...extra];
    const key = JSON.stringify(warnings);
    if (key === this.drawn.warnings) return;
    this.drawn.warnings = key;
    setText(part(this.root, "warnings-title"), t("warnings.title", { count: count(warnings.length) }));
    setAttribute(part(this.root, "warnings"), "data-tone", warnings.length > 0 ? "warn" : null);
    const texts = warnings.length > 0 ? warnings : [t("warnings.none")];
    part(this.root, "warnings-list").replaceChildren(...texts.map((text) => element("li", {}, text)));
  }

  private drawCharts(column: Column, metric: string): void {
    if (this.select.value !== metric) this.select.value = metric;
    const { times } = column.history;
    const label = (key: Key, lines: ChartLine[], format: (value: number | null) => string): string => {
      const values = (lines[0]?.values ?? []).filter((value) => value !== null);
      const high = values.length > 0 ? Math.max(...values) : null;
      const length = Math.min(HISTORY_POINTS, this.view.rangeS);
      return t("chart.label", {
        metric: t(key),
        name: this.name,
        value: format(values.at(-1) ?? null),
        high: format(high),
        span: span(length),
      });
    };
    const rates: ChartLine[] = [{ label: "rate", values: charted(column.history, "messages_per_second") }];
    this.charts[0].draw(times, rates, decimal, label("metric.messages_per_second", rates, decimal));
    const choice = (CHOICES as readonly string[]).includes(metric) ? (metric as Choice) : "latency";
    const names: Metric[] = choice === "latency" ? ["latency_p50", "latency_p99"] : [choice];
    const lines = names.map((name) => ({ label: name, values: charted(column.history, name) }));
    this.charts[1].draw(times, lines, formatOf(choice), label(`metric.${choice}`, lines, formatOf(choice)));
  }
}

function formatOf(choice: Choice): (value: number | null) => string {
  if (choice === "latency") return milliseconds;
  if (choice === "bytes_per_second") return bytes;
  if (choice === "last_tick_age") return (value) => (value === null ? NONE : `${decimal(value)} s`);
  return isTotal(choice) || choice === "queue_depth" ? count : decimal;
}

function retryText(line: LineHealth, now: number): string {
  if (!line.enabled || line.status === "connected") return "";
  const at = line.next_retry_at ?? null;
  if (at === null) return line.status === "connecting" ? "" : t("line.no_retry");
  return at <= now ? t("line.retry_now") : t("line.retry", { span: span(Math.ceil(at - now)) });
}

/** Why a stream is empty, and what to do. */
export function emptyText(dashboard: Dashboard, line: LineHealth | null, column: Column): string {
  if (line !== null && !line.enabled) return t("empty.disabled");
  if (column.pausedAt !== null) return t("empty.paused");
  if (dashboard.status?.paused) return t("empty.feed_paused");
  if (dashboard.filter !== null) return t("empty.filter");
  if (line !== null && line.status !== "connected") return t("empty.down");
  return t("empty.waiting");
}

/** The feed adds what is required to the sentence of how the connection ended. */
function lastErrorOf({ last_error: said, endings }: LineHealth): string {
  if (!said) return t("line.no_error");
  const ending = endings?.findLast((one) => said.startsWith(one.message));
  return t("line.last_error", { text: ending === undefined ? said : endingWords(ending.cause, said) });
}
