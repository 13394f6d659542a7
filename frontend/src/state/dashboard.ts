/**
 * Everything the feed page knows, and how each message of the admin channel changes it. Pure: no DOM, no socket,
 * no clock; times come in as arguments (Unix seconds). The state is changed in place, because thousands of ticks
 * a second must not copy it; every change raises a `version`, which is all that the drawing side looks at.
 */
import {
  type ErrorObject,
  type FeedStatus,
  type Filter,
  type HistoryUpdate,
  type LineHealth,
  type LineMetrics,
  type ResumeAnswer,
  type Snapshot,
  type Tick,
  UNASSIGNED,
} from "../socket/wire";
import { tickTest } from "./filter";
import { append, emptyHistory, fromPoints, type History } from "./history";
import { Ring } from "./ring";

/** Rows a column shows. */
export const ROWS_SHOWN = 50;
/** Ticks kept between connecting and the snapshot; a snapshot takes milliseconds. */
export const PENDING_MAX = 2_000;

export interface Entry {
  tick: Tick;
  /** The filter that was in force on the server when it was sent, `UNKNOWN` if that cannot be told; see `visible`. */
  generation: number;
}

/** A server that has not yet been told the filter sends what it has. */
const UNKNOWN = -1;

export interface Column {
  id: string;
  line: LineHealth | null;
  metrics: LineMetrics | null;
  /** The newest word on these, whichever message brought it. */
  messages: number;
  errors: number;
  /** When this line last brought something, server time; null if never. */
  lastUpdate: number | null;
  ring: Ring<Entry>;
  history: History;
  pausedAt: number | null;
  /** Ticks the server holds back from this viewer while it is paused. */
  held: number;
  /** Held by a session before a reconnect; the server forgot those. */
  heldBefore: number;
  version: { stream: number; status: number; history: number };
}

export interface Dashboard {
  columns: Map<string, Column>;
  status: FeedStatus | null;
  /** False between connecting and the snapshot: ticks and history wait in `pending`. */
  synced: boolean;
  pending: { ticks: Tick[]; history: HistoryUpdate[] };
  filter: Filter | null;
  generation: number;
  /** Ticks the server skipped for this viewer. */
  dropped: number;
  canControlFeed: boolean;
  /** Server clock minus this browser's, seconds; ages are counted on the server's clock. */
  clockOffset: number;
  version: { status: number; layout: number };
}

export function newDashboard(): Dashboard {
  return {
    columns: new Map(),
    status: null,
    synced: false,
    pending: { ticks: [], history: [] },
    filter: null,
    generation: 0,
    dropped: 0,
    canControlFeed: false,
    clockOffset: 0,
    version: { status: 0, layout: 0 },
  };
}

function newColumn(id: string): Column {
  return {
    id,
    line: null,
    metrics: null,
    messages: 0,
    errors: 0,
    lastUpdate: null,
    ring: new Ring<Entry>(),
    history: emptyHistory(),
    pausedAt: null,
    held: 0,
    heldBefore: 0,
    version: { stream: 0, status: 0, history: 0 },
  };
}

/** connection_2 before connection_10; ticks that nobody owns last. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0;
  if (a === UNASSIGNED) return 1;
  if (b === UNASSIGNED) return -1;
  return a.localeCompare(b, "en", { numeric: true });
}

/** The column of `id`, made if it is new; the map stays in display order. */
export function column(state: Dashboard, id: string): Column {
  const found = state.columns.get(id);
  if (found !== undefined) return found;
  const made = newColumn(id);
  const all = [...state.columns.values(), made].sort((a, b) => compareIds(a.id, b.id));
  state.columns = new Map(all.map((one) => [one.id, one]));
  state.version.layout += 1;
  return made;
}

export function applyStatus(state: Dashboard, status: FeedStatus): void {
  state.status = status;
  for (const [id, line] of Object.entries(status.connections)) {
    const one = column(state, id);
    // Ticks may have come before the status that names their connection; only now is there a column to show.
    if (one.line === null) state.version.layout += 1;
    one.line = line;
    one.messages = line.message_count;
    one.errors = line.error_count;
    seen(one, line.last_message_time ?? null);
    one.version.status += 1;
  }
  const unassigned = status.unassigned;
  if (unassigned !== undefined && unassigned.message_count > 0) {
    const one = column(state, UNASSIGNED);
    one.messages = unassigned.message_count;
    seen(one, unassigned.last_message_time);
    one.version.status += 1;
  }
  for (const id of [...state.columns.keys()]) {
    if (id !== UNASSIGNED && !(id in status.connections)) {
      state.columns.delete(id);
      state.version.layout += 1;
    }
  }
  state.version.status += 1;
}

function seen(one: Column, at: number | null): void {
  if (at !== null && (one.lastUpdate === null || at > one.lastUpdate)) one.lastUpdate = at;
}

/** A new connection: what comes before its snapshot waits, so that nothing is shown twice or out of order. */
export function beginSync(state: Dashboard): void {
  state.synced = false;
  state.pending = { ticks: [], history: [] };
}

export function applySnapshot(state: Dashboard, snapshot: Snapshot, nowS: number): void {
  state.clockOffset = snapshot.server_time - nowS;
  state.canControlFeed = snapshot.can.feed_control;
  applyStatus(state, snapshot.status);
  for (const [id, history] of Object.entries(snapshot.history)) {
    const one = state.columns.get(id);
    if (one === undefined) continue;
    one.history = fromPoints(history.start, history.step_s, history.points);
    one.version.history += 1;
  }
  for (const [id, ticks] of Object.entries(snapshot.ticks)) {
    const one = column(state, id);
    // A paused view keeps its rows over a reconnect; resuming brings the newest.
    if (one.pausedAt === null) refill(state, one, ticks);
  }
  state.synced = true;
  const { ticks, history } = state.pending;
  state.pending = { ticks: [], history: [] };
  for (const update of history) applyHistory(state, update);
  const known = new Set(Object.values(snapshot.ticks).flatMap((list) => list.map((tick) => tick.id)));
  applyTicks(
    state,
    ticks.filter((tick) => !known.has(tick.id)),
    0,
    UNKNOWN,
  );
}

/** `ticks` newest first, as the server sends them. */
function refill(state: Dashboard, one: Column, ticks: readonly Tick[]): void {
  one.ring.clear();
  for (const tick of ticks.toReversed()) one.ring.push({ tick, generation: state.generation });
  one.version.stream += 1;
}

/** Ticks in order of arrival; those of a paused column are dropped, because the server brings the newest on resume. */
export function applyTicks(
  state: Dashboard,
  ticks: readonly Tick[],
  dropped: number,
  generation: number = state.generation,
): void {
  if (dropped > 0) {
    state.dropped += dropped;
    state.version.status += 1;
  }
  if (!state.synced) {
    state.pending.ticks.push(...ticks);
    if (state.pending.ticks.length > PENDING_MAX)
      state.pending.ticks.splice(0, state.pending.ticks.length - PENDING_MAX);
    return;
  }
  for (const tick of ticks) {
    const one = column(state, tick.connection_id ?? UNASSIGNED);
    seen(one, tick.received ?? tick.timestamp);
    if (one.pausedAt !== null) continue;
    one.ring.push({ tick, generation });
    one.version.stream += 1;
  }
}

export function applyMetrics(state: Dashboard, metrics: Record<string, LineMetrics>): void {
  for (const [id, figures] of Object.entries(metrics)) {
    const one = state.columns.get(id);
    // Ticks that nobody owns get a column once there is one, not for a row of zeros.
    if (one === undefined && (id !== UNASSIGNED || figures.message_count === 0)) continue;
    const known = one ?? column(state, id);
    known.metrics = figures;
    known.messages = figures.message_count;
    known.errors = figures.error_count;
    if (known.pausedAt !== null) known.held = figures.held;
    known.version.status += 1;
  }
  state.version.status += 1;
}

export function applyHistory(state: Dashboard, update: HistoryUpdate): void {
  if (!state.synced) {
    state.pending.history.push(update);
    if (state.pending.history.length > PENDING_MAX) state.pending.history.shift();
    return;
  }
  for (const [id, point] of Object.entries(update.connections)) {
    const one = state.columns.get(id);
    if (one === undefined) continue;
    if (append(one.history, update.t, point)) one.version.history += 1;
    if (typeof point.last_tick_age === "number") seen(one, update.t - point.last_tick_age);
    one.version.status += 1;
  }
  state.version.status += 1;
}

export function applyHeld(state: Dashboard, held: Record<string, number>): void {
  for (const [id, count] of Object.entries(held)) {
    const one = state.columns.get(id);
    if (one === undefined || one.pausedAt === null) continue;
    one.held = count;
    one.version.stream += 1;
  }
}

/** The server's word on which columns are paused and since when. */
export function applyPaused(state: Dashboard, paused: Record<string, number>): void {
  for (const [id, since] of Object.entries(paused)) {
    const one = column(state, id);
    // After a reconnect the server's "since" is the reconnect's; the viewer paused earlier.
    one.pausedAt = one.pausedAt === null ? since : Math.min(one.pausedAt, since);
    one.version.stream += 1;
  }
}

/** Holds the view at once, before the server has answered. */
export function pauseView(state: Dashboard, ids: readonly string[], nowS: number): void {
  for (const id of ids) {
    const one = state.columns.get(id);
    if (one === undefined || one.pausedAt !== null) continue;
    one.pausedAt = nowS;
    one.held = 0;
    one.heldBefore = 0;
    one.version.stream += 1;
  }
}

/** Takes a pause back without new ticks: the server refused it, or it is gone. */
export function releaseView(state: Dashboard, ids: readonly string[]): void {
  for (const id of ids) {
    const one = state.columns.get(id);
    if (one === undefined || one.pausedAt === null) continue;
    one.pausedAt = null;
    one.held = 0;
    one.heldBefore = 0;
    one.version.stream += 1;
  }
}

/** The view goes on with the newest ticks that the server kept for it. */
export function applyResumed(state: Dashboard, ids: readonly string[], answer: ResumeAnswer): void {
  for (const id of ids) {
    const one = state.columns.get(id);
    if (one === undefined) continue;
    releaseView(state, [id]);
    const ticks = answer.ticks[id];
    if (ticks !== undefined) refill(state, one, ticks);
  }
}

/** The server forgets a viewer's held ticks when its socket goes; keep counting from there. */
export function carryHeld(state: Dashboard): void {
  for (const one of state.columns.values()) {
    one.heldBefore += one.held;
    one.held = 0;
  }
}

export function clearView(state: Dashboard, ids: readonly string[]): void {
  for (const id of ids) {
    const one = state.columns.get(id);
    if (one === undefined) continue;
    one.ring.clear();
    one.version.stream += 1;
  }
}

/** A filter is in force: what is here already is judged by it at once, also in a paused view. */
export function applyFilter(state: Dashboard, filter: Filter | null): void {
  if (JSON.stringify(filter) === JSON.stringify(state.filter)) return;
  state.filter = filter;
  state.generation += 1;
  for (const one of state.columns.values()) one.version.stream += 1;
}

/** The rows of a column, newest first. What the server sent under this filter passes; what is older is tested here. */
export function visible(state: Dashboard, one: Column, limit: number = ROWS_SHOWN): Tick[] {
  const test = tickTest(state.filter);
  const entries = one.ring.newest(limit, (entry) => entry.generation === state.generation || test(entry.tick));
  return entries.map((entry) => entry.tick);
}

/** Whether every enabled column's view is paused. */
export function allPaused(state: Dashboard): boolean {
  const live = [...state.columns.values()].filter((one) => one.line?.enabled !== false);
  return live.length > 0 && live.every((one) => one.pausedAt !== null);
}

export interface Sums {
  connected: number;
  enabled: number;
  messagesPerSecond: number;
  ticks: number;
  errors: number;
  held: number;
  dropped: number;
}

export function sums(state: Dashboard): Sums {
  let messagesPerSecond = 0;
  let held = 0;
  let ticks = 0;
  let errors = 0;
  for (const one of state.columns.values()) {
    ticks += one.messages;
    errors += one.errors;
    messagesPerSecond += rate(one) ?? 0;
    if (one.pausedAt !== null) held += one.held + one.heldBefore;
  }
  return {
    connected: state.status?.connected_count ?? 0,
    enabled: state.status?.total_connections ?? 0,
    messagesPerSecond,
    ticks,
    errors,
    held,
    dropped: state.dropped,
  };
}

/** Messages per second now: the newest second of history, else the last status. Null if unknown. */
export function rate(one: Column): number | null {
  return (
    one.history.series.messages_per_second.at(-1) ??
    one.line?.messages_per_second ??
    one.metrics?.messages_per_second ??
    null
  );
}

export interface Notice {
  error: ErrorObject;
  /** When it came, Unix seconds. */
  at: number;
}

/** Notices for this viewer, newest last, one per code; at most 5, the oldest goes. */
export function addNotice(notices: readonly Notice[], error: ErrorObject, at: number): Notice[] {
  return [...notices.filter((one) => one.error.code !== error.code), { error, at }].slice(-5);
}
