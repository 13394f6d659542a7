/**
 * The last 15 minutes of one connection, one point a second, in the column form that charts read. Pure.
 * Overflow policy: the oldest second goes.
 */
import type { Point } from "../socket/wire";

/** 15 minutes at one point a second (dashboard.md M2). */
export const HISTORY_POINTS = 900;

export type Metric = keyof Point;

export const METRICS: readonly Metric[] = [
  "messages_per_second",
  "bytes_per_second",
  "latency_p50",
  "latency_p99",
  "last_tick_age",
  "gaps",
  "duplicates",
  "parse_errors",
  "reconnects",
  "queue_depth",
  "dropped",
];

/** Totals on the wire; a chart shows their rise per second, because a total only says how old the process is. */
const TOTALS: ReadonlySet<Metric> = new Set(["gaps", "duplicates", "parse_errors", "reconnects", "dropped"]);

export function isTotal(metric: Metric): boolean {
  return TOTALS.has(metric);
}

export interface History {
  /** Unix seconds, strictly ascending. */
  times: number[];
  series: Record<Metric, (number | null)[]>;
}

export function emptyHistory(): History {
  const series = {} as Record<Metric, (number | null)[]>;
  for (const metric of METRICS) series[metric] = [];
  return { times: [], series };
}

/** History from a snapshot's `{start, step_s, points}`; the newest HISTORY_POINTS of it. */
export function fromPoints(start: number, stepS: number, points: readonly Point[]): History {
  const history = emptyHistory();
  const first = Math.max(0, points.length - HISTORY_POINTS);
  for (let i = first; i < points.length; i += 1) {
    const point = points[i];
    if (point !== undefined) append(history, start + i * stepS, point);
  }
  return history;
}

/** Appends the point of second `t`; one that is not newer than the last is ignored. A hole breaks the line with one null. */
export function append(history: History, t: number, point: Point): boolean {
  const last = history.times.at(-1);
  if (last !== undefined && t <= last) return false;
  // 3 s: a second that came late is no hole, a reconnect is.
  if (last !== undefined && t - last > 3) push(history, last + 1, null);
  push(history, t, point);
  return true;
}

function push(history: History, t: number, point: Point | null): void {
  history.times.push(t);
  for (const metric of METRICS) history.series[metric].push(point?.[metric] ?? null);
  if (history.times.length > HISTORY_POINTS) {
    history.times.shift();
    for (const metric of METRICS) history.series[metric].shift();
  }
}

/** Values of `metric` as they are charted: totals become their rise per second. Same length as `times`. */
export function charted(history: History, metric: Metric): (number | null)[] {
  const values = history.series[metric];
  if (!isTotal(metric)) return values;
  return values.map((value, i) => {
    const before = i === 0 ? null : (values[i - 1] ?? null);
    // A total that fell was started anew; its rise is unknown.
    return value === null || before === null || value < before ? null : value - before;
  });
}
