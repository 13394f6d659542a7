/**
 * What the nodes tell of themselves, and what a chart shows of it: readings by node, joined over all. Pure.
 * Types follow src/tidewire/vitals/wire.py. It must not know sockets, pages or words.
 */
import type { Whole } from "../socket/connections-api";

export interface NodeAge {
  readonly node: string;
  readonly instance: string;
  readonly at: number;
  readonly age_s: number;
  readonly stale: boolean;
  readonly trouble: string;
}

/** One figure of every node, in the order of the message's nodes. */
export interface Figure {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly values: readonly (number | null)[];
  readonly total: number | null;
  readonly per_second?: readonly (number | null)[];
  readonly total_per_second?: number | null;
}

export interface Everybody extends Whole {
  readonly interval_s: number;
  readonly over_s: number;
  readonly nodes: readonly NodeAge[];
}

export interface SystemMetrics extends Everybody {
  readonly groups: Readonly<Record<string, readonly Figure[]>>;
}

export interface Summary {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value?: number;
  readonly count?: number;
  readonly per_second?: number;
  readonly mean?: number;
  readonly p50?: number;
  readonly p95?: number;
  readonly p99?: number;
  readonly beyond?: readonly string[];
}

export interface Performance {
  readonly kind: string;
  readonly unit: string;
  readonly total: Summary;
  readonly nodes: readonly Summary[];
  readonly series: readonly Summary[];
}

export interface PerformanceMetrics extends Everybody {
  readonly metrics: Readonly<Record<string, Performance>>;
}

export interface HistoryAnswer extends Whole {
  readonly at: number;
  readonly nodes: readonly {
    readonly node: string;
    readonly instance: string;
    readonly times: readonly number[];
    readonly lines: readonly {
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly values: readonly (number | null)[];
    }[];
  }[];
}

type Labels = Readonly<Record<string, string>>;

/** What a chart shows. `by`: how the nodes' values become one; `rate`: it is counted, and its rise per second counts. */
export interface ChartSpec {
  readonly key: string;
  readonly name: string;
  readonly by: "sum" | "max";
  readonly rate?: boolean;
  readonly only?: (labels: Labels) => boolean;
}

export interface ChartData {
  readonly times: number[];
  readonly values: (number | null)[];
}

interface Reading {
  readonly at: number;
  /** By the specs' order. */
  readonly values: readonly (number | null)[];
}

/** As long as the servers remember. */
const KEPT_S = 900;
/** Readings of several nodes within a slot are those of one moment. */
const SLOT_S = 5;

export class VitalsHistory {
  private readonly specs: readonly ChartSpec[];
  private readonly nodes = new Map<string, { name: string; readings: Reading[] }>();

  constructor(specs: readonly ChartSpec[]) {
    this.specs = specs;
  }

  /** Takes what the servers remember; what has been seen live since stays. */
  load(answer: HistoryAnswer): void {
    for (const node of answer.nodes) {
      const remembered = node.times.map((at, i): Reading => ({
        at,
        values: this.specs.map((spec) => {
          const lines = node.lines.filter((line) => line.name === spec.name && (spec.only?.(line.labels) ?? true));
          return summed(lines.map((line) => line.values[i] ?? null));
        }),
      }));
      const last = remembered.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
      const since = (this.nodes.get(node.instance)?.readings ?? []).filter((reading) => reading.at > last);
      this.nodes.set(node.instance, { name: node.node, readings: [...remembered, ...since] });
    }
  }

  add(message: SystemMetrics): void {
    const figures = distinct(message);
    const wanted = this.specs.map((spec) =>
      figures.filter((figure) => figure.name === spec.name && (spec.only?.(figure.labels ?? {}) ?? true)),
    );
    for (const [i, node] of message.nodes.entries()) {
      const known = this.nodes.get(node.instance) ?? { name: node.node, readings: [] };
      this.nodes.set(node.instance, known);
      const { readings } = known;
      // A stale node tells the same reading again.
      if (node.at <= (readings.at(-1)?.at ?? Number.NEGATIVE_INFINITY)) continue;
      readings.push({
        at: node.at,
        values: wanted.map((each) => summed(each.map((figure) => figure.values[i] ?? null))),
      });
      while ((readings[0]?.at ?? node.at) < node.at - KEPT_S) readings.shift();
    }
  }

  /** The nodes that there are readings of: instance and name. */
  known(): { instance: string; name: string }[] {
    return [...this.nodes].map(([instance, { name }]) => ({ instance, name }));
  }

  /** One node's line, or that of all of them (`instance` empty). */
  chart(spec: ChartSpec, instance: string): ChartData {
    const place = this.specs.indexOf(spec);
    const lines = [...this.nodes]
      .filter(([each]) => instance === "" || each === instance)
      .map(([, { readings }]) => lineOf(readings, place, spec.rate ?? false));
    const [only] = lines;
    return lines.length === 1 && only !== undefined ? only : joined(lines, spec.by);
  }
}

function lineOf(readings: readonly Reading[], place: number, rate: boolean): ChartData {
  const times = readings.map((reading) => reading.at);
  const values = readings.map((reading) => reading.values[place] ?? null);
  if (!rate) return { times, values };
  return {
    times,
    values: values.map((value, i) => {
      const [before, at, from] = [values[i - 1] ?? null, times[i] ?? 0, times[i - 1] ?? 0];
      // A counter that fell began anew.
      return value === null || before === null || value < before || at <= from ? null : (value - before) / (at - from);
    }),
  };
}

/** Several nodes' lines as one, on common slots; a node that has just missed one is still there. */
function joined(lines: readonly ChartData[], by: "sum" | "max"): ChartData {
  const bySlot = lines.map((line) => {
    const slots = new Map<number, number>();
    for (const [i, at] of line.times.entries()) {
      const value = line.values[i] ?? null;
      if (value !== null) slots.set(Math.floor(at / SLOT_S), value);
    }
    return slots;
  });
  const every = bySlot.flatMap((slots) => [...slots.keys()]);
  if (every.length === 0) return { times: [], values: [] };
  const [times, values]: [number[], (number | null)[]] = [[], []];
  for (let slot = least(every); slot <= greatest(every); slot += 1) {
    const there = bySlot.map((slots) => slots.get(slot) ?? slots.get(slot - 1) ?? null);
    times.push((slot + 1) * SLOT_S);
    values.push(by === "sum" ? summed(there) : greatestOf(there));
  }
  return { times, values };
}

/** A name with its labels, as Prometheus writes it. */
export function seriesOf(figure: Figure): string {
  const labels = Object.entries(figure.labels ?? {}).map(([name, value]) => `${name}="${value}"`);
  return labels.length === 0 ? figure.name : `${figure.name}{${labels.join(",")}}`;
}

/** Every figure once: one may be in two groups. */
function distinct(message: SystemMetrics): Figure[] {
  const all = Object.values(message.groups).flat();
  return [...new Map(all.map((figure) => [seriesOf(figure), figure])).values()];
}

function summed(values: readonly (number | null)[]): number | null {
  const there = values.filter((value) => value !== null);
  return there.length === 0 ? null : there.reduce((sum, value) => sum + value, 0);
}

function greatestOf(values: readonly (number | null)[]): number | null {
  const there = values.filter((value) => value !== null);
  return there.length === 0 ? null : Math.max(...there);
}

function least(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value));
}

function greatest(values: readonly number[]): number {
  return values.reduce((high, value) => Math.max(high, value));
}

/** One row of the table of nodes: figures by name, of one node or (`node` null) of all. */
export interface NodeRow {
  readonly id: string;
  readonly node: NodeAge | null;
  readonly values: ReadonlyMap<string, number | null>;
  readonly rates: ReadonlyMap<string, number | null>;
}

/** The nodes by name, and what they come to; figures with labels are added up, responses only those of failures. */
export function rowsOf(message: SystemMetrics): NodeRow[] {
  const figures = distinct(message);
  const row = (id: string, node: NodeAge | null, index: number): NodeRow => {
    const [values, rates] = [new Map<string, number | null>(), new Map<string, number | null>()];
    for (const figure of figures) {
      if ((figure.labels ?? {})["status"]?.startsWith("5") === false) continue;
      const value = node === null ? figure.total : figure.values[index];
      const rate = node === null ? figure.total_per_second : figure.per_second?.[index];
      values.set(figure.name, summed([values.get(figure.name) ?? null, value ?? null]));
      rates.set(figure.name, summed([rates.get(figure.name) ?? null, rate ?? null]));
    }
    return { id, node, values, rates };
  };
  const nodes = message.nodes.map((node, i) => row(node.instance, node, i));
  nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
  return nodes.length > 1 ? [...nodes, row("total", null, -1)] : nodes;
}
