/**
 * The watch list: its symbols in the reader's order, and what each tick, refusal or loss changes. Pure and immutable:
 * every function returns the list anew, so a paused page simply goes on showing rows of before. It must not know the
 * DOM, sockets, words or the clock.
 */
import { MAX_SYMBOLS } from "./symbols";

/** A tick as a row shows it. */
export interface Quote {
  readonly price: number;
  readonly volume: number;
  /** Exchange time, Unix seconds. */
  readonly at: number;
  /** When the server took it, Unix seconds. */
  readonly taken: number;
  readonly source: string;
  /** The upstream connection that owns the symbol; null if none does. */
  readonly owner: string | null;
}

export type Direction = "up" | "down" | "flat" | "first";

/** A price at a second; null where something was missed, so that no line is drawn across. */
export interface Point {
  readonly at: number;
  readonly price: number | null;
}

/** asking: the server has not answered yet; in: ticks come; refused: none will come. */
export type Standing = "asking" | "in" | "refused";

/** Ticks were missed for good (`recovered: false`). */
export interface Loss {
  readonly at: number;
  readonly reason: string;
  /** At least so many; null if the server cannot tell. */
  readonly atLeast: number | null;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

export interface Row {
  readonly symbol: string;
  readonly standing: Standing;
  readonly refusal: Refusal | null;
  readonly tick: Quote | null;
  readonly direction: Direction;
  /** The first tick seen: what the change is measured from. */
  readonly first: Quote | null;
  readonly points: readonly Point[];
  readonly ticks: number;
  readonly loss: Loss | null;
  /** When it entered its room, Unix seconds; for how long no tick has come. */
  readonly since: number;
}

export interface Paused {
  /** Server time, Unix seconds. */
  readonly at: number;
  /** Ticks that came since. */
  readonly held: number;
  readonly rows: ReadonlyMap<string, Row>;
}

export interface WatchList {
  readonly rows: readonly Row[];
  readonly paused: Paused | null;
}

export const EMPTY: WatchList = { rows: [], paused: null };

/** One price a second, five minutes: what a sparkline of 120 px can show. */
export const HISTORY_S = 300;
/** A traded symbol that says nothing for so long is worth a look; bars come every second, trades mostly faster. */
export const STALE_AFTER_S = 15;
/** The server shows the newest tick on entering; without one by then, none is known. */
export const UNKNOWN_AFTER_S = 2;

export function rowOf(list: WatchList, symbol: string): Row | null {
  return list.rows.find((row) => row.symbol === symbol) ?? null;
}

export function symbolsOf(list: WatchList): string[] {
  return list.rows.map((row) => row.symbol);
}

/** Adds a symbol at the end, or at `place`; nothing changes if it is there, or the list is full. */
export function add(list: WatchList, symbol: string, place: number = list.rows.length): WatchList {
  if (list.rows.length >= MAX_SYMBOLS || rowOf(list, symbol) !== null) return list;
  const rows = [...list.rows];
  rows.splice(place, 0, newRow(symbol));
  return { ...list, rows };
}

export function remove(list: WatchList, symbol: string): WatchList {
  if (rowOf(list, symbol) === null) return list;
  const rows = list.rows.filter((row) => row.symbol !== symbol);
  if (list.paused === null) return { ...list, rows };
  const held = new Map(list.paused.rows);
  held.delete(symbol);
  return { rows, paused: { ...list.paused, rows: held } };
}

/** The server let us into the room of a symbol. */
export function enter(list: WatchList, symbol: string, nowS: number): WatchList {
  return change(list, symbol, (row) => ({ ...row, standing: "in", refusal: null, since: nowS }));
}

/** No ticks will come for a symbol. */
export function refuse(list: WatchList, symbol: string, refusal: Refusal): WatchList {
  return change(list, symbol, (row) => ({ ...row, standing: "refused", refusal }));
}

/** The connection is gone: every symbol that is not refused must be entered again. */
export function askAgain(list: WatchList): WatchList {
  return { ...list, rows: list.rows.map((row) => (row.standing === "in" ? { ...row, standing: "asking" } : row)) };
}

/** Something of a symbol was missed for good. */
export function lose(list: WatchList, symbol: string, loss: Loss): WatchList {
  return change(list, symbol, (row) => {
    const before = row.loss?.atLeast ?? null;
    const sum = loss.atLeast === null ? before : loss.atLeast + (before ?? 0);
    const points = row.points.length === 0 ? row.points : [...row.points, { at: loss.at, price: null }];
    return { ...row, loss: { ...loss, atLeast: sum }, points };
  });
}

/** The reader has seen what was lost. */
export function forgiveAll(list: WatchList): WatchList {
  return { ...list, rows: list.rows.map((row) => (row.loss === null ? row : { ...row, loss: null })) };
}

/** A tick came. */
export function receive(list: WatchList, symbol: string, tick: Quote): WatchList {
  const changed = change(list, symbol, (row) => applyTick(row, tick));
  if (changed === list || list.paused === null) return changed;
  const { paused } = list;
  if (paused.rows.get(symbol)?.tick) return { ...changed, paused: { ...paused, held: paused.held + 1 } };
  // A symbol without any price yet gets its first one even now: an empty row would say less than a still one.
  const row = rowOf(changed, symbol);
  const rows = row === null ? paused.rows : new Map(paused.rows).set(symbol, row);
  return { ...changed, paused: { ...paused, rows } };
}

export function pause(list: WatchList, nowS: number): WatchList {
  if (list.paused !== null) return list;
  return { ...list, paused: { at: nowS, held: 0, rows: new Map(list.rows.map((row) => [row.symbol, row])) } };
}

export function resume(list: WatchList): WatchList {
  return list.paused === null ? list : { ...list, paused: null };
}

/** What is to be drawn: the rows, or while paused their figures of then. Standing and losses are always the present ones. */
export function shown(list: WatchList): readonly Row[] {
  const { paused } = list;
  if (paused === null) return list.rows;
  return list.rows.map((row) => {
    const then = paused.rows.get(row.symbol);
    if (then === undefined) return row;
    const { standing, refusal, loss, since } = row;
    return { ...then, standing, refusal, loss, since };
  });
}

/** Unix seconds that a row's tick is of: the exchange's time, but never later than the server took it. */
export function timeOf(tick: Quote): number {
  return Math.min(tick.at, tick.taken);
}

export function isStale(row: Row, nowS: number): boolean {
  return row.tick !== null && nowS - timeOf(row.tick) > STALE_AFTER_S;
}

/** Whether nothing has ever been heard of the symbol, though the server would have shown its newest tick. */
export function isUnknown(row: Row, nowS: number): boolean {
  return row.standing === "in" && row.tick === null && nowS - row.since >= UNKNOWN_AFTER_S;
}

/** Price now less the first one seen, and that in percent; null before the second tick. */
export function changeOf(row: Row): { readonly amount: number; readonly percent: number; readonly from: Quote } | null {
  const { first, tick } = row;
  if (first === null || tick === null || row.ticks < 2) return null;
  const amount = tick.price - first.price;
  return { amount, percent: (100 * amount) / first.price, from: first };
}

function newRow(symbol: string): Row {
  return {
    symbol,
    standing: "asking",
    refusal: null,
    tick: null,
    direction: "first",
    first: null,
    points: [],
    ticks: 0,
    loss: null,
    since: 0,
  };
}

function change(list: WatchList, symbol: string, made: (row: Row) => Row): WatchList {
  const place = list.rows.findIndex((row) => row.symbol === symbol);
  const row = list.rows[place];
  if (row === undefined) return list;
  return { ...list, rows: list.rows.with(place, made(row)) };
}

function applyTick(row: Row, tick: Quote): Row {
  return {
    ...row,
    tick,
    direction: directionOf(row.tick, tick),
    first: row.first ?? tick,
    points: pushPoint(row.points, { at: Math.floor(tick.taken), price: tick.price }),
    ticks: row.ticks + 1,
  };
}

function directionOf(before: Quote | null, tick: Quote): Direction {
  if (before === null) return "first";
  return tick.price > before.price ? "up" : tick.price < before.price ? "down" : "flat";
}

/** The newest price of a second replaces the others of it; what is older than the history goes. */
function pushPoint(points: readonly Point[], point: Point): readonly Point[] {
  const last = points.at(-1);
  if (last !== undefined && last.price !== null && point.at <= last.at)
    return points.with(-1, { ...last, price: point.price });
  const from = points.findIndex((one) => one.at > point.at - HISTORY_S);
  return [...(from === -1 ? [] : points.slice(from)), point];
}
