/**
 * Where the rows of a live list stand. A row keeps its place until the order is taken anew, whatever the server's order
 * has become meanwhile; what would move, come and go is counted. Pure; it must not know what a row is.
 */

export interface Place<R> {
  readonly id: string;
  readonly row: R;
  /** `here`: as the last answer said. `gone`: nobody has it any more. `unknown`: who had it did not answer. */
  readonly standing: "here" | "gone" | "unknown";
  /** Places that it went up (positive) or down when the order was last taken; 0 if it stayed. */
  readonly moved: number;
  /** It was not on the list before the order was last taken. */
  readonly fresh: boolean;
}

/** How many rows changed their place among those that stayed, came, and went. */
export interface Moves {
  readonly moved: number;
  readonly fresh: number;
  readonly gone: number;
}

export interface Places<R> {
  readonly places: readonly Place<R>[];
  /** The order as the server has it now. */
  readonly next: readonly R[];
  /** When the order was taken, Unix seconds; null before the first. */
  readonly takenAt: number | null;
  /** What the last taking changed; null after a new question, when every row is another. */
  readonly last: Moves | null;
}

export interface Answer<R> {
  /** The page in the server's order. */
  readonly rows: readonly R[];
  /** Rows in sight that are not on that page. */
  readonly kept: readonly R[];
}

export function noPlaces<R>(): Places<R> {
  return { places: [], next: [], takenAt: null, last: null };
}

/** Takes the server's order; `anew`: the question is another, so nothing moved. */
export function take<R>(places: Places<R>, idOf: (row: R) => string, now: number, anew: boolean): Places<R> {
  const before = new Map(places.places.map((place, index) => [place.id, index]));
  const stays = steady(places.next.map((row) => before.get(idOf(row)) ?? null));
  const first = anew || places.takenAt === null;
  const taken = places.next.map((row, index): Place<R> => {
    const was = before.get(idOf(row));
    const moved = first || was === undefined || stays.has(index) ? 0 : was - index || 1;
    return { id: idOf(row), row, standing: "here", moved, fresh: !first && was === undefined };
  });
  return { places: taken, next: places.next, takenAt: now, last: first ? null : pending(places, idOf) };
}

/** New figures for the rows where they stand. `unknown` says whether a row's absence proves nothing. */
export function refresh<R>(
  places: Places<R>,
  answer: Answer<R>,
  idOf: (row: R) => string,
  unknown: (row: R) => boolean,
): Places<R> {
  const now = new Map([...answer.kept, ...answer.rows].map((row) => [idOf(row), row]));
  const stand = places.places.map((place): Place<R> => {
    const row = now.get(place.id);
    if (row !== undefined) return { ...place, row, standing: "here" };
    return { ...place, standing: unknown(place.row) ? "unknown" : "gone" };
  });
  return { ...places, places: stand, next: answer.rows };
}

/** What taking the order now would change. */
export function pending<R>(places: Places<R>, idOf: (row: R) => string): Moves {
  const before = new Map(places.places.map((place, index) => [place.id, index]));
  const was = places.next.map((row) => before.get(idOf(row)) ?? null);
  const known = was.filter((index) => index !== null).length;
  return { moved: known - steady(was).size, fresh: was.length - known, gone: before.size - known };
}

export function isNothing(moves: Moves): boolean {
  return moves.moved === 0 && moves.fresh === 0 && moves.gone === 0;
}

/**
 * The largest set of rows that stand in the same order as before (longest increasing subsequence, by patience): only
 * the others have moved. Otherwise one row that goes to the top would count as a move of all the rows below it.
 */
function steady(was: readonly (number | null)[]): Set<number> {
  const tails: number[] = [];
  const previous = new Map<number, number | null>();
  for (const [index, value] of was.entries()) {
    if (value === null) continue;
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((was[tails[middle] ?? 0] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    previous.set(index, low > 0 ? (tails[low - 1] ?? null) : null);
    tails[low] = index;
  }
  const found = new Set<number>();
  for (let at: number | null = tails.at(-1) ?? null; at !== null; at = previous.get(at) ?? null) found.add(at);
  return found;
}
