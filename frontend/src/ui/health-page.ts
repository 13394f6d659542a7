/**
 * The health page: the checks, every node's figures side by side, and charts that begin full. How a page that watches the
 * nodes behaves is vitals-page's.
 */
import type { Problem } from "../socket/admin-api";
import { askHealth, askHistory, type CheckResult, type SystemHealth } from "../socket/vitals-api";
import { type ChartSpec, type NodeRow, rowsOf, type SystemMetrics, VitalsHistory } from "../state/vitals";
import { Charts } from "./charts";
import { element, find, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { errorWords, inEnglish, knownError } from "./error-words";
import { FigureTable } from "./figure-table";
import { type Column, figures, words } from "./list-row";
import { LiveList } from "./live-list";
import { problemWords } from "./problem-words";
import { knownWords } from "./server-words";
import { ago, bytes, count, decimal, exact, milliseconds, NONE, t, word } from "./text";
import { VitalsPage } from "./vitals-page";

const CHECK_EVERY_MS = 10_000;
/** `scale`: what is drawn of a unit, so that the axis has words for it. */
type Spec = ChartSpec & { readonly format: (value: number | null) => string; readonly scale?: number };

const server = (labels: Readonly<Record<string, string>>): boolean => labels["status"]?.startsWith("5") ?? false;
const CHARTS: readonly Spec[] = [
  { key: "connections", name: "tidewire_hub_connections", by: "sum", format: count },
  { key: "delivered", name: "tidewire_hub_delivered_total", by: "sum", rate: true, format: perSecond },
  { key: "lag", name: "tidewire_event_loop_lag_recent_seconds", by: "max", format: milliseconds, scale: 1000 },
  { key: "memory", name: "process_resident_memory_bytes", by: "sum", format: bytes },
  { key: "outbox", name: "tidewire_hub_outbox_bytes", by: "sum", format: bytes },
  { key: "fanout", name: "tidewire_hub_fanout_ratio", by: "max", format: decimal },
  { key: "errors", name: "tidewire_http_responses_total", by: "sum", rate: true, only: server, format: perSecond },
  { key: "database", name: "tidewire_database_pool_requests_in_use", by: "sum", format: count },
  { key: "feed", name: "tidewire_feed_line_messages_per_second", by: "max", format: perSecond },
];

const TONES = { ok: "ok", degraded: "warn", failed: "error" } as const;
const ICONS = { ok: "check-circle-fill", degraded: "exclamation-triangle-fill", failed: "x-circle-fill" } as const;

const CHECK_COLUMNS: readonly Column<CheckResult>[] = [
  words("name", (check) => word("health.check", check.name)),
  {
    key: "status",
    make(cell) {
      cell.append(element("span", { class: "vitals-badge" }, icon(ICONS.ok), element("span")));
    },
    draw(cell, check) {
      const badge = find(cell, ".vitals-badge");
      setAttribute(badge, "data-tone", TONES[check.status]);
      setIcon(badge, ICONS[check.status]);
      setText(find(badge, "span"), word("health.status", check.status));
    },
  },
  figures("latency", (check) => milliseconds(check.latency_ms)),
  words("reason", (check) => reasonOf(check) || NONE, { classes: "vitals-wrap" }),
  words("action", (check) => (check.status === "ok" ? NONE : actionOf(check)), { classes: "vitals-wrap" }),
];

/** What is wrong with what answers no check of its own (a database, say) is told by the code of its error. */
function reasonOf({ reason, code, details }: CheckResult): string {
  const own = knownWords("check", code, details);
  return own ?? (reason === "" ? "" : errorWords({ code, sentences: [reason], details }));
}

function actionOf({ required_action: action, will_not: willNot, code, details }: CheckResult): string {
  const own = knownWords("check", `${code}.action`, details);
  // The words of an error by its code are all three sentences, and stand in the column before.
  return own ?? (knownError(code) ? NONE : inEnglish(`${action} ${willNot}`.trim()));
}

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  words("node", (row) => row.node?.node ?? t("health.total"), {
    title: (row) => row.node?.instance ?? t("health.total.hint"),
  }),
  {
    key: "age",
    classes: "num",
    draw(cell, row, { now }) {
      const age = row.node === null ? null : Math.max(row.node.age_s, now - row.node.at);
      setText(cell, age === null ? "" : ago(age));
      setAttribute(cell, "title", row.node === null ? null : exact(row.node.at));
      setAttribute(cell, "data-tone", row.node?.stale === true ? "warn" : null);
    },
  },
  value("connections", "tidewire_hub_connections", count),
  value("users", "tidewire_hub_users", count),
  value("rooms", "tidewire_hub_rooms", count),
  rate("delivered", "tidewire_hub_delivered_total"),
  value("outbox", "tidewire_hub_outbox_bytes", bytes),
  value("memory", "process_resident_memory_bytes", bytes),
  value("files", "process_open_fds", count),
  value("lag", "tidewire_event_loop_lag_recent_seconds", seconds),
  value("database", "tidewire_database_up", upOrDown),
  value("bus", "tidewire_bus_up", upOrDown),
  rate("errors", "tidewire_http_responses_total"),
];

export class HealthPage {
  private readonly history = new VitalsHistory(CHARTS);
  private readonly charts = new Charts(part(document, "charts"), () => this.drawCharts());
  private readonly figures = new FigureTable(part(document, "figures"));
  private readonly checks = new LiveList<CheckResult>(part(document, "checks"), {
    columns: CHECK_COLUMNS,
    idOf: (check) => check.name,
    nameOf: (check) => check.name,
  });
  private readonly nodes = new LiveList<NodeRow>(part(document, "nodes"), {
    columns: NODE_COLUMNS,
    idOf: (row) => row.id,
    nameOf: (row) => row.node?.node ?? row.id,
  });
  private readonly select = part<HTMLSelectElement>(document, "node");
  private health: SystemHealth | null = null;
  private problem: Problem | null = null;
  private asking = false;
  private dirty = true;
  private readonly page = new VitalsPage<SystemMetrics>({
    family: "admin:system_monitoring",
    wish: { type: "start_monitoring", config: { interval_s: 2 } },
    take: (message, now) => {
      this.history.add(message);
      if (!this.page.paused) this.nodes.answer({ rows: rowsOf(message), kept: [] }, now, () => false);
      this.figures.take(message);
      this.dirty = true;
    },
    draw: (now) => this.draw(now),
    refresh: () => void this.check(),
    restyle: () => {
      this.charts.restyle();
      this.dirty = true;
    },
    items: () => [],
  });

  start(): void {
    this.select.addEventListener("change", () => this.drawCharts());
    part(document, "check-now").addEventListener("click", () => void this.check());
    this.page.start();
    void this.remember();
    void this.check();
    setInterval(() => {
      if (!document.hidden && !this.page.paused) void this.check();
    }, CHECK_EVERY_MS);
  }

  // ---- asking ----

  /** What the nodes remember: charts begin full. */
  private async remember(): Promise<void> {
    const reply = await askHistory([...new Set(CHARTS.map((chart) => chart.name))]);
    if (!reply.ok) {
      this.problem = reply.problem;
    } else {
      this.history.load(reply.value);
      this.page.observe(reply.value.at);
    }
    this.dirty = true;
    this.page.loop.mark();
  }

  private async check(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    const reply = await askHealth();
    this.asking = false;
    this.problem = reply.ok ? null : reply.problem;
    if (reply.ok) {
      this.health = reply.value;
      this.page.observe(reply.value.at);
      this.checks.answer({ rows: reply.value.checks, kept: [] }, this.page.now(), () => false);
    }
    this.page.loop.mark();
  }

  // ---- drawing ----

  private draw(now: number): void {
    this.checks.draw(now);
    this.nodes.draw(now);
    this.drawVerdict(now);
    if (!this.dirty) return;
    this.dirty = false;
    this.drawCharts();
    this.figures.draw();
  }

  private drawVerdict(now: number): void {
    const { health, problem } = this;
    const badge = part(document, "verdict");
    setHidden(badge, health === null);
    if (health !== null) {
      setAttribute(badge, "data-tone", TONES[health.status]);
      setIcon(badge, ICONS[health.status]);
      setText(part(badge, "verdict-word"), word("health.verdict", health.status));
      setText(
        part(document, "checked"),
        t("health.checked", {
          ago: ago(Math.max(0, now - health.at)),
          node: health.node,
          took: milliseconds(health.took_ms),
        }),
      );
    }
    const said = part(document, "check-problem");
    setHidden(said, problem === null);
    setText(said, problem === null ? "" : `${problemWords(problem)} ${problem.correlationId}`.trim());
  }

  private drawCharts(): void {
    this.drawChoice();
    for (const spec of CHARTS) {
      const { times, values } = this.history.chart(spec, this.select.value);
      const title = word("health.chart", spec.key);
      const { scale = 1 } = spec;
      const drawn = values.map((each) => (each === null ? null : each * scale));
      this.charts.draw(spec.key, title, times, [{ label: title, values: drawn }], spec.format);
    }
  }

  private drawChoice(): void {
    const known = this.history.known();
    const there = new Set([...this.select.options].map((option) => option.value));
    for (const { instance, name } of known) {
      if (there.has(instance)) continue;
      const twice = known.filter((other) => other.name === name).length > 1;
      this.select.append(element("option", { value: instance }, twice ? instance : name));
    }
  }
}

function value(key: string, name: string, format: (value: number | null) => string): Column<NodeRow> {
  return figures(key, (row) => format(row.values.get(name) ?? null));
}

function rate(key: string, name: string): Column<NodeRow> {
  return figures(key, (row) => decimal(row.rates.get(name) ?? null));
}

function upOrDown(value: number | null): string {
  return value === null ? NONE : t(value > 0 ? "health.up" : "health.down");
}

function seconds(value: number | null): string {
  return milliseconds(value === null ? null : value * 1000);
}

function perSecond(value: number | null): string {
  return value === null ? NONE : `${decimal(value)}/s`;
}
