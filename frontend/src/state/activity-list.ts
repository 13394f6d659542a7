/**
 * The rows of the activity log that a page holds: the newest first, what is held back while it is paused, where older
 * ones begin. Pure; it must not know the socket or how rows look.
 */

export interface ActivityRow {
  readonly id: number;
  readonly at: number;
  readonly actor: string;
  readonly actor_id: number | null;
  readonly action: string;
  readonly target: string;
  readonly ip: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Rows on the page at most: more are read by nobody, and searched by the server. */
export const ROWS_MAX = 1_000;

export interface ActivityList {
  /** Newest first; null until the first page has come. */
  readonly rows: readonly ActivityRow[] | null;
  /** Asks the server for what is older than the last row; null: nothing is, or the page is full. */
  readonly cursor: string | null;
  /** There are older rows than the page may hold. */
  readonly full: boolean;
  /** While paused: what came meanwhile, newest first. */
  readonly held: readonly ActivityRow[];
  /** While paused: the page that came with another connection; it replaces everything when the view goes on. */
  readonly heldPage: { readonly rows: readonly ActivityRow[]; readonly cursor: string | null } | null;
  /** Unix seconds. */
  readonly pausedAt: number | null;
}

export const EMPTY: ActivityList = { rows: null, cursor: null, full: false, held: [], heldPage: null, pausedAt: null };

function later(one: ActivityRow, other: ActivityRow): number {
  return other.at - one.at || other.id - one.id;
}

/** The rows of both, each once, newest first. */
function merged(fresh: readonly ActivityRow[], rows: readonly ActivityRow[]): ActivityRow[] {
  const known = new Set(rows.map((row) => row.id));
  return [...fresh.filter((row) => !known.has(row.id)), ...rows].sort(later);
}

/** The newest page has come: at first, after a reconnect, or for another filter (`anew`). */
export function onPage(
  list: ActivityList,
  rows: readonly ActivityRow[],
  cursor: string | null,
  anew: boolean,
): ActivityList {
  const shown = { rows: [...rows].sort(later), cursor };
  if (list.pausedAt !== null && list.rows !== null && !anew) {
    const known = new Set([...list.rows, ...list.held].map((row) => row.id));
    const fresh = shown.rows.filter((row) => !known.has(row.id));
    return { ...list, held: merged(fresh, list.held), heldPage: shown };
  }
  return { ...EMPTY, ...shown, pausedAt: list.pausedAt };
}

/** New rows have come. */
export function onRows(list: ActivityList, rows: readonly ActivityRow[]): ActivityList {
  if (list.rows === null) return list;
  if (list.pausedAt !== null) {
    const shown = new Set(list.rows.map((row) => row.id));
    const page = list.heldPage;
    const heldPage = page === null ? null : { ...page, rows: merged(rows, page.rows) };
    return {
      ...list,
      heldPage,
      held: merged(
        rows.filter((row) => !shown.has(row.id)),
        list.held,
      ),
    };
  }
  return bounded({ ...list, rows: merged(rows, list.rows) });
}

/** Older rows have come, as asked for. */
export function onOlder(list: ActivityList, rows: readonly ActivityRow[], cursor: string | null): ActivityList {
  if (list.rows === null) return list;
  return bounded({ ...list, rows: merged(rows, list.rows), cursor });
}

export function pause(list: ActivityList, now: number): ActivityList {
  return { ...list, pausedAt: now };
}

export function resume(list: ActivityList): ActivityList {
  const { heldPage, held } = list;
  if (heldPage !== null) return { ...EMPTY, rows: heldPage.rows, cursor: heldPage.cursor };
  if (list.rows === null) return { ...list, pausedAt: null };
  return bounded({ ...list, rows: merged(held, list.rows), held: [], pausedAt: null });
}

function bounded(list: ActivityList): ActivityList {
  if (list.rows === null || list.rows.length <= ROWS_MAX) return list;
  // What is cut off is older than the cursor's place would be; the server finds it by a narrower question.
  return { ...list, rows: list.rows.slice(0, ROWS_MAX), cursor: null, full: true };
}
