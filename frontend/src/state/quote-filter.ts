/** The filter of the list of quotes, as it stands in the page's address and as it is asked of the server. Pure. */
import type { Takes, Values } from "./address";
import { STATUSES } from "./quote-wire";

/** What may have happened to a quote in a time that is looked at. */
export const HAPPENED = ["created", "quoted", "bound"] as const;
export type Happened = (typeof HAPPENED)[number];
export type Moment = `${Happened}_${"from" | "before"}`;

const MOMENTS: readonly Moment[] = HAPPENED.flatMap((what) => [`${what}_from` as const, `${what}_before` as const]);

export interface ListFilter {
  readonly search: string;
  readonly statuses: readonly string[];
  /** A two-letter code; empty: all. */
  readonly state: string;
  /** A product's code; empty: all. */
  readonly product: string;
  /** Unix seconds: from that moment on, or before it. */
  readonly moments: Readonly<Partial<Record<Moment, number>>>;
  /** The server's name of a page; null: the first. */
  readonly after: string | null;
  /** What the address asks for and cannot be, by name: asked all the same, so that the server refuses it in words. */
  readonly odd?: Readonly<Record<string, string>>;
}

export const NO_FILTER: ListFilter = { search: "", statuses: [], state: "", product: "", moments: {}, after: null };

/** The server's own bound. */
const SEARCH_MAX = 120;
const MOMENT_MAX = 253_402_300_799;
const STATE = /^[A-Z]{2}$/;
const PRODUCT = /^[a-z0-9_-]{1,40}$/;

/** The names that the address may have; which values, the server says. */
export const QUOTES_ADDRESS: Takes = {
  names: {
    ...Object.fromEntries(
      ["status", "state", "product", "after", ...MOMENTS].map((name): [string, Values] => [name, "any"]),
    ),
    search: (value) => value.length <= SEARCH_MAX,
  },
  many: ["status"],
};

/** Reads an address; nothing of it is left out in silence. */
export function filterOf(query: string): ListFilter {
  const given = new URLSearchParams(query);
  const state = (given.get("state") ?? "").toUpperCase();
  const product = given.get("product") ?? "";
  const moments: Partial<Record<Moment, number>> = {};
  const odd: Partial<Record<"state" | "product" | "status" | Moment, string>> = {};
  for (const name of MOMENTS) {
    const text = given.get(name) ?? "";
    const moment = Number(text || Number.NaN);
    if (moment >= 0 && moment <= MOMENT_MAX) moments[name] = moment;
    else if (text !== "") odd[name] = text;
  }
  if (state !== "" && !STATE.test(state)) odd.state = state;
  if (product !== "" && !PRODUCT.test(product)) odd.product = product;
  const status = given.getAll("status").find((one) => !STATUSES.some((known) => known === one));
  if (status !== undefined) odd.status = status;
  return {
    search: (given.get("search") ?? "").slice(0, SEARCH_MAX),
    statuses: STATUSES.filter((status) => given.getAll("status").includes(status)),
    state: STATE.test(state) ? state : "",
    product: PRODUCT.test(product) ? product : "",
    moments,
    after: given.get("after") || null,
    odd,
  };
}

/** The question to the server; also what stands in the address. Empty without a filter. */
export function queryOf(filter: ListFilter): string {
  const query = new URLSearchParams();
  if (filter.search !== "") query.set("search", filter.search);
  for (const status of filter.statuses) query.append("status", status);
  if (filter.state !== "") query.set("state", filter.state);
  if (filter.product !== "") query.set("product", filter.product);
  for (const name of MOMENTS) {
    const moment = filter.moments[name];
    if (moment !== undefined) query.set(name, String(moment));
  }
  if (filter.after !== null) query.set("after", filter.after);
  // What has been chosen on the page since stands in its place.
  for (const [name, text] of Object.entries(filter.odd ?? {})) if (!query.has(name)) query.set(name, text);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

export function addressOf(path: string, filter: ListFilter): string {
  return path + queryOf(filter);
}

/** Whether fewer than all quotes are wanted. */
export function isFiltered(filter: ListFilter): boolean {
  return queryOf(filter) !== "";
}

/** The filters that no field of the page shows: of a product, and of each kind of moment. */
export function chipsOf(filter: ListFilter): (Happened | "product")[] {
  const times = HAPPENED.filter((what) => MOMENTS.some((name) => name.startsWith(what) && name in filter.moments));
  return [...(filter.product === "" ? [] : ["product" as const]), ...times];
}

/** The filter without one of these. */
export function withoutChip(filter: ListFilter, chip: Happened | "product"): ListFilter {
  if (chip === "product") return { ...filter, product: "" };
  const left = Object.entries(filter.moments).filter(([name]) => !name.startsWith(`${chip}_`));
  return { ...filter, moments: Object.fromEntries(left) };
}
