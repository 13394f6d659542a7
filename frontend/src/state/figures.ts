/**
 * What a dashboard remembers of its figures: one value per step for each, the last quarter of an hour. Pure. It must not
 * know widgets, the server or pixels.
 */

/** A reading may reach the server late, so the last steps are asked for again. */
export const AGAIN_S = 10;
const KEPT_S = 900;

export interface Memory {
  readonly times: readonly number[];
  /** Figure, as `keyOf` calls it -> a value beside each time; null where there was no reading. */
  readonly values: ReadonlyMap<string, readonly (number | null)[]>;
  /** Figure -> how many single figures it was made of when last asked; 0: nothing measures it. */
  readonly lines: ReadonlyMap<string, number>;
}

export const EMPTY: Memory = { times: [], values: new Map(), lines: new Map() };

interface Asked {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly total: string;
  readonly shown: string;
}

/** What a figure is remembered by. */
export function keyOf(figure: Asked): string {
  const labels = Object.entries(figure.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([figure.metric, labels, figure.total, figure.shown]);
}

/** From when on to ask; 0 if nothing is known of one of the figures. */
export function since(memory: Memory, keys: readonly string[]): number {
  const last = memory.times.at(-1);
  return last !== undefined && keys.every((key) => memory.values.has(key)) ? last - AGAIN_S : 0;
}

/** Adds an answer: it holds from its first time on, and of `keys` only. */
export function merged(
  memory: Memory,
  keys: readonly string[],
  answer: {
    readonly times: readonly number[];
    readonly series: readonly { readonly values: readonly (number | null)[]; readonly lines: number }[];
  },
  from: number,
): Memory {
  const kept = from === 0 ? [] : memory.times.filter((at) => at <= from);
  const all = [...kept, ...answer.times];
  const newest = all.at(-1) ?? 0;
  const skip = all.findIndex((at) => at > newest - KEPT_S);
  const values = new Map<string, readonly (number | null)[]>();
  const lines = new Map<string, number>();
  keys.forEach((key, i) => {
    const series = answer.series[i];
    const before = (memory.values.get(key) ?? []).slice(0, kept.length);
    values.set(key, [...before, ...(series?.values ?? [])].slice(Math.max(0, skip)));
    lines.set(key, series?.lines ?? 0);
  });
  return { times: all.slice(Math.max(0, skip)), values, lines };
}

/** The newest value and its time; null if there is none. */
export function newest(memory: Memory, key: string): { readonly at: number; readonly value: number } | null {
  const values = memory.values.get(key) ?? [];
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i] ?? null;
    const at = memory.times[i];
    if (value !== null && at !== undefined) return { at, value };
  }
  return null;
}

/** The part of a figure's line that is not older than `rangeS`, with its times. */
export function window(memory: Memory, key: string, rangeS: number): { times: number[]; values: (number | null)[] } {
  const first = memory.times.findIndex((at) => at > (memory.times.at(-1) ?? 0) - rangeS);
  if (first === -1) return { times: [], values: [] };
  return { times: memory.times.slice(first), values: [...(memory.values.get(key) ?? [])].slice(first) };
}
