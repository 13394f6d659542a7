/**
 * The performance page: response and calculation times as percentiles, now and over time, by route and by node. How a
 * page that watches the nodes behaves is vitals-page's.
 */
import type { Problem } from "../socket/admin-api";
import { askTrend, type TrendAnswer } from "../socket/vitals-api";
import type { NodeAge, Performance, PerformanceMetrics, Summary } from "../state/vitals";
import { Charts } from "./charts";
import { part, setHidden, setText } from "./dom";
import { type Column, figures, words } from "./list-row";
import { LiveList } from "./live-list";
import { problemWords } from "./problem-words";
import { count, decimal, milliseconds, NONE, percent, t, word } from "./text";
import { VitalsPage } from "./vitals-page";

const HTTP = "tidewire_http_response_seconds";
const CALCULATION = "tidewire_quotes_calculation_seconds";
const LAG = "tidewire_event_loop_lag_seconds";
const RESPONSES = "tidewire_http_responses_total";
const TRENDS = [HTTP, CALCULATION, LAG] as const;
/** As often as the servers take a step. */
const TREND_EVERY_MS = 15_000;

type Percentile = "p50" | "p95" | "p99";

interface RouteRow extends Summary {
  readonly id: string;
}

interface NodeRow {
  readonly id: string;
  readonly name: string;
  readonly http: Summary | undefined;
  readonly calculation: Summary | undefined;
  readonly lag: Summary | undefined;
}

const ROUTE_COLUMNS: readonly Column<RouteRow>[] = [
  words("route", (row) => (row.labels?.["route"] === "none" ? t("performance.no_route") : row.id)),
  figures("count", (row) => count(row.count)),
  figures("per_second", (row) => decimal(row.per_second)),
  figures("mean", (row) => seconds(row.mean)),
  figures("p50", (row) => told(row, "p50")),
  figures("p95", (row) => told(row, "p95")),
  figures("p99", (row) => told(row, "p99")),
];

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  words("node", (row) => row.name, { title: (row) => row.id }),
  figures("requests", (row) => decimal(row.http?.per_second)),
  figures("http_p95", (row) => told(row.http, "p95")),
  figures("http_p99", (row) => told(row.http, "p99")),
  figures("calculations", (row) => count(row.calculation?.count)),
  figures("calculation_p95", (row) => told(row.calculation, "p95")),
  figures("lag_p99", (row) => told(row.lag, "p99")),
];

export class PerformancePage {
  private readonly charts = new Charts(part(document, "charts"), () => this.drawCharts());
  private readonly trends = new Map<string, TrendAnswer>();
  private readonly routes = new LiveList<RouteRow>(part(document, "routes"), {
    columns: ROUTE_COLUMNS,
    idOf: (row) => row.id,
    nameOf: (row) => row.id,
  });
  private readonly nodes = new LiveList<NodeRow>(part(document, "nodes"), {
    columns: NODE_COLUMNS,
    idOf: (row) => row.id,
    nameOf: (row) => row.name,
  });
  private problem: Problem | null = null;
  private dirty = true;
  private readonly page = new VitalsPage<PerformanceMetrics>({
    family: "admin:performance",
    wish: { type: "start_performance", interval_s: 5 },
    take: (message, now) => {
      if (this.page.paused) return;
      this.routes.answer({ rows: routesOf(message.metrics[HTTP]), kept: [] }, now, () => false);
      this.nodes.answer(
        { rows: message.nodes.map((node, i) => nodeRow(message, node, i)), kept: [] },
        now,
        () => false,
      );
      this.dirty = true;
    },
    draw: (now) => this.draw(now),
    refresh: () => void this.remember(),
    restyle: () => {
      this.charts.restyle();
      this.dirty = true;
    },
    items: () => [],
  });

  start(): void {
    this.page.start();
    void this.remember();
    setInterval(() => {
      if (!document.hidden && !this.page.paused) void this.remember();
    }, TREND_EVERY_MS);
  }

  /** What the nodes remember: charts begin full. */
  private async remember(): Promise<void> {
    for (const metric of TRENDS) {
      const reply = await askTrend(metric);
      this.problem = reply.ok ? null : reply.problem;
      if (!reply.ok) break;
      this.trends.set(metric, reply.value);
      this.page.observe(reply.value.at);
    }
    this.dirty = true;
    this.page.loop.mark();
  }

  private draw(now: number): void {
    this.routes.draw(now);
    this.nodes.draw(now);
    const said = part(document, "trend-problem");
    setHidden(said, this.problem === null);
    setText(said, this.problem === null ? "" : problemWords(this.problem));
    if (!this.dirty) return;
    this.dirty = false;
    this.drawFigures();
    this.drawCharts();
  }

  private drawFigures(): void {
    const metrics = this.page.message?.metrics;
    if (metrics === undefined) return;
    const http = metrics[HTTP]?.total;
    const calculation = metrics[CALCULATION]?.total;
    const shown: Record<string, string> = {
      requests: `${decimal(http?.per_second)}/s`,
      p50: told(http, "p50"),
      p95: told(http, "p95"),
      p99: told(http, "p99"),
      errors: share(metrics[RESPONSES]),
      calculations: count(calculation?.count),
      calculation_p95: told(calculation, "p95"),
      lag_p99: told(metrics[LAG]?.total, "p99"),
      sessions: count(metrics["tidewire_hub_logins"]?.total.value),
      users: count(metrics["tidewire_hub_users"]?.total.value),
      connections: count(metrics["tidewire_hub_connections"]?.total.value),
      faults: count(metrics["tidewire_hub_failures_total"]?.total.count),
    };
    for (const [name, text] of Object.entries(shown)) setText(part(document, `figure-${name}`), text);
  }

  private drawCharts(): void {
    for (const metric of TRENDS) {
      const trend = this.trends.get(metric);
      if (trend === undefined) continue;
      const inMs = (values: readonly (number | null)[]) => values.map((each) => (each === null ? null : each * 1000));
      const lines = (["p95", "p50", "p99"] as const).map((name) => ({ label: name, values: inMs(trend[name]) }));
      this.charts.draw(metric, word("performance.chart", metric), [...trend.times], lines, milliseconds);
    }
  }
}

/** Slowest first; what nobody asked for in the window is left out. */
function routesOf(http: Performance | undefined): RouteRow[] {
  const rows = (http?.series ?? [])
    .filter((row) => (row.count ?? 0) > 0)
    .map((row) => ({ ...row, id: `${row.labels?.["method"] ?? ""} ${row.labels?.["route"] ?? ""}` }));
  return rows.sort((a, b) => (b.p95 ?? 0) - (a.p95 ?? 0) || (a.id < b.id ? -1 : 1));
}

function nodeRow(message: PerformanceMetrics, node: NodeAge, i: number): NodeRow {
  const of = (name: string): Summary | undefined => message.metrics[name]?.nodes[i];
  return { id: node.instance, name: node.node, http: of(HTTP), calculation: of(CALCULATION), lag: of(LAG) };
}

/** A percentile, or what it is greater than. */
function told(row: Summary | undefined, name: Percentile): string {
  const value = row?.[name];
  if (value === undefined) return NONE;
  return (row?.beyond?.includes(name) ?? false) ? `> ${seconds(value)}` : seconds(value);
}

/** The share of answers that were the server's failure. */
function share(responses: Performance | undefined): string {
  const all = responses?.total.count ?? 0;
  if (all === 0) return NONE;
  const failed = (responses?.series ?? []).filter((row) => row.labels?.["status"]?.startsWith("5") ?? false);
  return percent((100 * failed.reduce((sum, row) => sum + (row.count ?? 0), 0)) / all).replace(/^\+/, "");
}

function seconds(value: number | null | undefined): string {
  return milliseconds(value === null || value === undefined ? null : value * 1000);
}
