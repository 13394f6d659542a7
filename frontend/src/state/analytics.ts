/**
 * What a dashboard's messages make of it: a snapshot, and parts that replace those of the same name. Pure; it must not
 * know sockets or what is drawn. Source: docs/protocol.md, `analytics_update`.
 */
import type { Json } from "../client/index";
import { type Takes, wholeWithin } from "./address";

export const DASHBOARDS = ["quotes", "conversion", "performance"] as const;
export type Dashboard = (typeof DASHBOARDS)[number];

/** A dashboard and its filter; empty: all. */
export interface View {
  readonly dashboard: Dashboard;
  readonly hours: number;
  readonly state: string;
  readonly product: string;
}

export const HOURS_DEFAULT = 24;
const HOURS_MAX = 720;
export const NO_FILTER: View = { dashboard: "quotes", hours: HOURS_DEFAULT, state: "", product: "" };

export type Fields = { readonly [name: string]: Json };
export type Parts = Readonly<Record<string, Json>>;

export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** `place`: of the newest update that is in the figures. */
export interface Figures {
  readonly parts: Parts;
  readonly asOf: number;
  readonly place: Place | null;
}

export interface Happening {
  readonly event: string;
  readonly at: number;
  readonly node: string;
  readonly state: string;
  readonly skipped: number;
  readonly data: Fields;
}

const STATE = /^([A-Z]{2})?$/;
const PRODUCT = /^[a-z0-9_-]{0,40}$/;

/** What the page's address may name; a dashboard that is not of quotes has no filters of theirs. */
export function analyticsTakes(query: string): Takes {
  const names = { dashboard: DASHBOARDS, hours: wholeWithin(1, HOURS_MAX) };
  if (new URLSearchParams(query).get("dashboard") === "performance") return { names };
  return { names: { ...names, state: (value) => STATE.test(value), product: (value) => PRODUCT.test(value) } };
}

/** Reads an address; the page does not begin with one that names what cannot be (`analyticsTakes`). */
export function viewOf(query: string): View {
  const given = new URLSearchParams(query);
  const dashboard = DASHBOARDS.find((one) => one === given.get("dashboard")) ?? "quotes";
  const hours = Number(given.get("hours") ?? HOURS_DEFAULT);
  const state = given.get("state") ?? "";
  const product = given.get("product") ?? "";
  return withView(NO_FILTER, {
    dashboard,
    hours: Number.isInteger(hours) && hours >= 1 && hours <= HOURS_MAX ? hours : HOURS_DEFAULT,
    state: STATE.test(state) ? state : "",
    product: PRODUCT.test(product) ? product : "",
  });
}

/** Another view; what a dashboard has no filter for is left out. */
export function withView(view: View, change: Partial<View>): View {
  const next = { ...view, ...change };
  return next.dashboard === "performance" ? { ...next, state: "", product: "" } : next;
}

/** What stands in the address; empty for the first dashboard without a filter. */
export function queryOf(view: View): string {
  const query = new URLSearchParams();
  if (view.dashboard !== "quotes") query.set("dashboard", view.dashboard);
  if (view.hours !== HOURS_DEFAULT) query.set("hours", String(view.hours));
  if (view.state !== "") query.set("state", view.state);
  if (view.product !== "") query.set("product", view.product);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** The room of a view, as the server names it. */
export function roomOf(view: View): string {
  const parts: string[] = [view.dashboard];
  if (view.hours !== HOURS_DEFAULT) parts.push(`h${view.hours}`);
  if (view.state !== "") parts.push(`s-${view.state.toLowerCase()}`);
  if (view.product !== "") parts.push(`p-${view.product}`);
  return `analytics:${parts.join(".")}`;
}

/** The filters as `start_analytics` takes them. */
export function filtersOf(view: View): Record<string, Json> {
  return {
    hours: view.hours,
    ...(view.state === "" ? {} : { state: view.state }),
    ...(view.product === "" ? {} : { product: view.product }),
  };
}

/** Applies an `analytics_update` with its place in the room; null stays null until a snapshot has come. */
export function receive(figures: Figures | null, fields: Fields, place: Place | null): Figures | null {
  const { parts, as_of: asOf, complete, includes } = fields;
  if (!isFields(parts) || typeof asOf !== "number") return figures;
  if (complete === true) return { parts: withoutGone(parts), asOf, place: placeOf(includes) };
  if (figures === null) return null;
  const known = figures.place;
  // What is in the snapshot already.
  if (place !== null && known !== null && place.epoch === known.epoch && place.offset <= known.offset) return figures;
  return { parts: withoutGone({ ...figures.parts, ...parts }), asOf, place };
}

export function readHappening(fields: Fields): Happening | null {
  const { event, at, node, state, skipped, data } = fields;
  if (typeof event !== "string" || typeof at !== "number") return null;
  return {
    event,
    at,
    node: typeof node === "string" ? node : "",
    state: typeof state === "string" ? state : "",
    skipped: typeof skipped === "number" ? skipped : 0,
    data: isFields(data) ? data : {},
  };
}

export function isFields(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function placeOf(value: Json | undefined): Place | null {
  if (!isFields(value)) return null;
  const { epoch, offset } = value;
  return typeof epoch === "string" && typeof offset === "number" ? { epoch, offset } : null;
}

function withoutGone(parts: Fields): Parts {
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== null));
}
