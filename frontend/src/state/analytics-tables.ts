/**
 * A dashboard's parts as tables: what is drawn and what is exported are these, so that they are the same. Pure; it must
 * not know words, formats or the page. What the parts hold is in docs/analytics.md.
 */
import type { Json } from "../client/index";
import { type Dashboard, isFields, type Parts } from "./analytics";
import type { Counted } from "./analytics-leads";
import { HAPPENED, type Happened } from "./quote-filter";

/** How a figure is written. `money` has its currency in the figure's name. */
export type Kind = "count" | "share" | "ms" | "span" | "money";

export interface Cell {
  readonly name: string;
  readonly kind: Kind;
  /** Null: there is none. Undefined: withheld from this reader. */
  readonly value: number | string | null | undefined;
  /** Which quotes it counts, where it counts quotes. */
  readonly counted?: Counted;
}

/** Where a row leads: to the same dashboard for one of its kind, or to the list of quotes. */
export type Lead = { readonly state: string } | { readonly product: string } | { readonly status: string } | null;

export interface Row {
  /** A code, a name, or Unix seconds where the table's rows are times. */
  readonly key: string | number;
  readonly cells: readonly Cell[];
  readonly lead: Lead;
}

export interface Table {
  readonly key: string;
  readonly rows: readonly Row[];
}

export interface Timeline {
  readonly times: number[];
  readonly stepS: number;
  readonly series: readonly { readonly name: string; readonly kind: Kind; readonly values: (number | null)[] }[];
}

const TIMED = ["average_ms", "p50_ms", "p95_ms", "p99_ms"];
const REACHED = ["drafted", "quoted", "bound"];

/** The figures at the top. */
export function tilesOf(dashboard: Dashboard, parts: Parts): Cell[] {
  if (dashboard === "quotes") {
    return [
      ...counting(cells(parts["totals"], ["quotes"], "count"), () => ({})),
      ...cells(parts["totals"], ["customers"], "count"),
      ...premiums(parts["premium"]),
    ];
  }
  if (dashboard === "conversion") {
    return [
      ...counting(cells(parts["funnel"], REACHED, "count"), reached),
      ...cells(parts["funnel"], ["overall_rate"], "share"),
      ...cells(parts["time_to_bind"], ["median_s", "average_s", "p90_s"], "span"),
    ];
  }
  const named = (prefix: string, found: Cell[]): Cell[] =>
    found.map((cell) => ({ ...cell, name: `${prefix}_${cell.name}` }));
  return [
    ...named("api", cells(parts["api"], ["count"], "count")),
    ...named("api", cells(parts["api"], ["p95_ms"], "ms")),
    ...cells(parts["api"], ["fault_rate"], "share"),
    ...named("calculations", cells(parts["calculations"], ["count"], "count")),
    ...named("calculations", cells(parts["calculations"], ["p95_ms"], "ms")),
    ...cells(parts["sessions"], ["logins", "users"], "count"),
  ];
}

/** The tables beside the chart. */
export function tablesOf(dashboard: Dashboard, parts: Parts): Table[] {
  if (dashboard === "quotes") return [statuses(parts), states(parts)];
  if (dashboard === "conversion") return [funnel(parts), breakdown(parts, "state"), breakdown(parts, "product")];
  return [timings(parts), outcomes(parts)];
}

/** The chart's series; null where the dashboard has none. */
export function timelineOf(parts: Parts): Timeline | null {
  const line = parts["timeline"];
  if (!isFields(line) || typeof line["from"] !== "number" || typeof line["step_s"] !== "number") return null;
  const { from, step_s: step } = line as { from: number; step_s: number };
  const series = Object.entries(line)
    .filter((entry): entry is [string, Json[]] => Array.isArray(entry[1]))
    .map(([name, values]) => ({
      name,
      kind: name.endsWith("_ms") ? ("ms" as const) : ("count" as const),
      values: values.map((value) => (typeof value === "number" ? value : null)),
    }));
  const length = Math.max(0, ...series.map((one) => one.values.length));
  return { times: Array.from({ length }, (_, i) => from + i * step), stepS: step, series };
}

/** The chart as a table, newest first. */
export function timeTable(timeline: Timeline): Table {
  const rows = timeline.times.map((at, i) => ({
    key: at,
    lead: null,
    cells: timeline.series.map(({ name, kind, values }) => ({
      name,
      kind,
      value: values[i] ?? null,
      ...(HAPPENED.some((one) => one === name)
        ? { counted: { step: { what: name as Happened, at, stepS: timeline.stepS } } }
        : {}),
    })),
  }));
  return { key: "timeline", rows: rows.reverse() };
}

/** Whether there is nothing to show, however the figures are. */
export function isEmpty(dashboard: Dashboard, parts: Parts): boolean {
  if (dashboard === "quotes") return number(parts["totals"], "quotes") === 0 && quiet(parts);
  if (dashboard === "conversion") return number(parts["funnel"], "drafted") === 0;
  return number(parts["api"], "count") === 0 && number(parts["calculations"], "count") === 0;
}

/** Older quotes may have been bound in the time that is looked at. */
function quiet(parts: Parts): boolean {
  return timelineOf(parts)?.series.every(({ values }) => values.every((value) => !value)) ?? true;
}

function premiums(part: Json | undefined): Cell[] {
  if (!isFields(part)) return [];
  if (part["withheld"] === true) return [{ name: "average_premium", kind: "money", value: undefined }];
  const averages = Array.isArray(part["averages"]) ? part["averages"].filter(isFields) : [];
  if (averages.length === 0) return [{ name: "average_premium", kind: "money", value: null }];
  return averages.map((one) => ({
    name: `average_premium_${String(one["currency"])}`,
    kind: "money",
    value: String(one["average"]),
  }));
}

function statuses(parts: Parts): Table {
  const part = parts["statuses"];
  const counts = isFields(part) ? Object.entries(part) : [];
  const total = counts.reduce((sum, [, count]) => sum + (typeof count === "number" ? count : 0), 0);
  return {
    key: "statuses",
    rows: counts.map(([status, count]) => ({
      key: status,
      lead: { status },
      cells: [
        { name: "quotes", kind: "count", value: amount(count), counted: { status } },
        { name: "share", kind: "share", value: total === 0 ? null : (amount(count) ?? 0) / total },
      ],
    })),
  };
}

function states(parts: Parts): Table {
  const part = parts["states"];
  if (!isFields(part)) return { key: "states", rows: [] };
  const top = Array.isArray(part["top"]) ? part["top"].filter(isFields) : [];
  const names = ["quotes", "bound"];
  const rows: Row[] = top.map((one) => ({
    key: String(one["state"]),
    lead: { state: String(one["state"]) },
    cells: counting(cells(one, names, "count"), (name) => ({
      state: String(one["state"]),
      ...(name === "bound" ? { status: "bound" } : {}),
    })),
  }));
  const others = part["others"];
  if (number(others, "states") > 0) rows.push({ key: "others", lead: null, cells: cells(others, names, "count") });
  return { key: "states", rows };
}

function funnel(parts: Parts): Table {
  const part = parts["funnel"];
  const rates: Record<string, string> = { quoted: "quoted_rate", bound: "bound_rate" };
  return {
    key: "funnel",
    rows: REACHED.map((stage) => ({
      key: stage,
      lead: null,
      cells: [
        ...counting(cells(part, [stage], "count"), reached).map((cell) => ({ ...cell, name: "quotes" })),
        ...cells(part, [rates[stage] ?? ""], "share").map((cell) => ({ ...cell, name: "of_stage_before" })),
      ],
    })),
  };
}

function breakdown(parts: Parts, by: "state" | "product"): Table {
  const part = parts[`${by}s`];
  const rows = Array.isArray(part) ? part.filter(isFields) : [];
  return {
    key: `${by}s`,
    rows: rows.map((one) => ({
      key: String(one[by]),
      lead: by === "state" ? { state: String(one[by]) } : { product: String(one[by]) },
      cells: [
        ...counting(cells(one, REACHED, "count"), (name) => ({ [by]: String(one[by]), ...reached(name) })),
        ...cells(one, ["overall_rate"], "share"),
      ],
    })),
  };
}

function timings(parts: Parts): Table {
  return {
    key: "timings",
    rows: ["api", "calculations"].map((key) => ({
      key,
      lead: null,
      cells: [...cells(parts[key], ["count"], "count"), ...cells(parts[key], TIMED, "ms")],
    })),
  };
}

function outcomes(parts: Parts): Table {
  const [api, calculations] = [parts["api"], parts["calculations"]];
  const ends = isFields(calculations) && isFields(calculations["ends"]) ? calculations["ends"] : {};
  const good = number(api, "count") - number(api, "refused") - number(api, "faults");
  const rows: [string, number][] = [
    ["api_good", good],
    ["api_refused", number(api, "refused")],
    ["api_faults", number(api, "faults")],
    ...Object.entries(ends).map(([end, count]): [string, number] => [`calculations_${end}`, amount(count) ?? 0]),
  ];
  return {
    key: "outcomes",
    rows: rows.map(([key, value]) => ({ key, lead: null, cells: [{ name: "count", kind: "count", value }] })),
  };
}

function cells(part: Json | undefined, names: readonly string[], kind: Kind): Cell[] {
  return names.map((name) => ({ name, kind, value: isFields(part) ? amount(part[name]) : null }));
}

function number(part: Json | undefined, name: string): number {
  return (isFields(part) ? amount(part[name]) : null) ?? 0;
}

function amount(value: Json | undefined): number | null {
  return typeof value === "number" ? value : null;
}

/** The cells with what they count. */
function counting(found: readonly Cell[], counted: (name: string) => Counted): Cell[] {
  return found.map((cell) => ({ ...cell, counted: counted(cell.name) }));
}

function reached(stage: string): Counted {
  return stage === "quoted" || stage === "bound" ? { reached: stage } : {};
}
