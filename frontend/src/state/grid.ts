/**
 * Where the parts of a dashboard lie: a grid of twelve columns in which nothing overlaps and nothing floats. Pure: a move
 * gives a new list, and the order of the list never changes. It must not know what the parts show, or pixels.
 * Source: pages.md ("Nothing moves that did not change"); the limits are those of monitoring/dashboard_model.py.
 */

export const COLUMNS = 12;
export const TALLEST = 12;

export interface Box {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Moves one to a cell; what is in its way goes down, then all rise as far as they can. */
export function moved<T extends Box>(boxes: readonly T[], id: string, x: number, y: number): readonly T[] {
  return changed(boxes, id, (box) => ({ ...box, x: clamp(x, 0, COLUMNS - box.w), y: Math.max(0, y) }));
}

/** Moves one by a key: a column aside, or past its neighbour above or below. */
export function stepped<T extends Box>(boxes: readonly T[], id: string, dx: number, dy: number): readonly T[] {
  const box = boxes.find((each) => each.id === id);
  if (box === undefined) return boxes;
  const beside = boxes.filter((each) => each.id !== id && each.x < box.x + box.w && box.x < each.x + each.w);
  let y = box.y;
  if (dy < 0) y = Math.max(0, ...beside.filter((each) => each.y < box.y).map((each) => each.y));
  const below = beside.filter((each) => each.y > box.y).map((each) => each.y);
  // One row beyond the neighbour's own: the neighbour is put first and rises.
  if (dy > 0 && below.length > 0) y = Math.min(...below) + 1;
  return moved(boxes, id, box.x + dx, y);
}

/** Gives one another size, from its upper left corner. */
export function resized<T extends Box>(boxes: readonly T[], id: string, w: number, h: number): readonly T[] {
  return changed(boxes, id, (box) => ({ ...box, w: clamp(w, 1, COLUMNS - box.x), h: clamp(h, 1, TALLEST) }));
}

/** Takes one out; what was below rises. */
export function without<T extends Box>(boxes: readonly T[], id: string): readonly T[] {
  return settled(boxes.filter((box) => box.id !== id));
}

/** Puts a new one into the first free place of its size, row by row. */
export function added<T extends Box>(boxes: readonly T[], box: T): readonly T[] {
  for (let y = 0; ; y++) {
    for (let x = 0; x + box.w <= COLUMNS; x++) {
      const here = { ...box, x, y };
      if (!boxes.some((other) => overlap(here, other))) return settled([...boxes, here]);
    }
  }
}

/** How many rows there are. */
export function rows(boxes: readonly Box[]): number {
  return Math.max(0, ...boxes.map((box) => box.y + box.h));
}

export function overlap(one: Box, other: Box): boolean {
  return one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h;
}

/**
 * Lets each rise until it meets another, from the top row to the last; `first` is put where it is before those that
 * begin in the same row, so it pushes them.
 */
export function settled<T extends Box>(boxes: readonly T[], first?: string): readonly T[] {
  const order = [...boxes].sort((a, b) => a.y - b.y || Number(b.id === first) - Number(a.id === first) || a.x - b.x);
  const placed = new Map<string, T>();
  for (const box of order) {
    let here = box;
    const meets = (): boolean => [...placed.values()].some((other) => overlap(here, other));
    while (meets()) here = { ...here, y: here.y + 1 };
    while (here.y > 0) {
      const higher = { ...here, y: here.y - 1 };
      if ([...placed.values()].some((other) => overlap(higher, other))) break;
      here = higher;
    }
    placed.set(box.id, here);
  }
  return boxes.map((box) => placed.get(box.id) ?? box);
}

function changed<T extends Box>(boxes: readonly T[], id: string, change: (box: T) => T): readonly T[] {
  return settled(
    boxes.map((box) => (box.id === id ? change(box) : box)),
    id,
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), Math.max(low, high));
}
