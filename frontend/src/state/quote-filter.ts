/** The filter of the list of quotes, as it stands in the page's address and as it is asked of the server. Pure. */
import { STATUSES } from "./quote-wire";

export interface ListFilter {
  readonly search: string;
  readonly statuses: readonly string[];
  /** A two-letter code; empty: all. */
  readonly state: string;
  /** The server's name of a page; null: the first. */
  readonly after: string | null;
}

export const NO_FILTER: ListFilter = { search: "", statuses: [], state: "", after: null };

/** The server's own bound. */
const SEARCH_MAX = 120;

/** Reads an address; what cannot be is left out, because the server would refuse all of it. */
export function filterOf(query: string): ListFilter {
  const given = new URLSearchParams(query);
  const state = (given.get("state") ?? "").toUpperCase();
  return {
    search: (given.get("search") ?? "").slice(0, SEARCH_MAX),
    statuses: STATUSES.filter((status) => given.getAll("status").includes(status)),
    state: /^[A-Z]{2}$/.test(state) ? state : "",
    after: given.get("after") || null,
  };
}

/** The question to the server; also what stands in the address. Empty without a filter. */
export function queryOf(filter: ListFilter): string {
  const query = new URLSearchParams();
  if (filter.search !== "") query.set("search", filter.search);
  for (const status of filter.statuses) query.append("status", status);
  if (filter.state !== "") query.set("state", filter.state);
  if (filter.after !== null) query.set("after", filter.after);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

export function addressOf(path: string, filter: ListFilter): string {
  return path + queryOf(filter);
}

/** Whether fewer than all quotes are wanted. */
export function isFiltered(filter: ListFilter): boolean {
  return filter.search !== "" || filter.statuses.length > 0 || filter.state !== "" || filter.after !== null;
}
