/**
 * What a list is asked for: fields, sort and direction, and how all that stands in the address. Pure; it must not know
 * which list it is.
 */

export interface ListQuery {
  /** By name; an empty text asks for nothing. */
  readonly fields: Readonly<Record<string, string>>;
  readonly sort: string;
  readonly descending: boolean;
}

/** Which fields and sort keys a list has, and how it begins. */
export interface ListShape {
  readonly fields: readonly string[];
  /** Sort key -> whether its first press sorts descending: the busiest are looked for, names from A. */
  readonly sorts: Readonly<Record<string, boolean>>;
  readonly sort: string;
}

export function firstQuery(shape: ListShape): ListQuery {
  const fields = Object.fromEntries(shape.fields.map((name) => [name, ""]));
  return { fields, sort: shape.sort, descending: shape.sorts[shape.sort] ?? false };
}

/** Reads an address; the page does not begin with one that names what is not of this list (`listTakes`). */
export function fromAddress(search: string, shape: ListShape): ListQuery {
  const given = new URLSearchParams(search);
  const start = firstQuery(shape);
  const asked = given.get("sort") ?? "";
  const sort = Object.hasOwn(shape.sorts, asked) ? asked : start.sort;
  const way = given.get("order");
  const descending = way === "asc" ? false : way === "desc" ? true : (shape.sorts[sort] ?? false);
  const fields = Object.fromEntries(shape.fields.map((name) => [name, (given.get(name) ?? "").trim()]));
  return { fields, sort, descending };
}

/** Writes the address; what is as at first is left out, so that a plain list has a plain address. */
export function toAddress(query: ListQuery, shape: ListShape): string {
  const words = new URLSearchParams();
  for (const name of shape.fields) {
    const value = query.fields[name] ?? "";
    if (value !== "") words.set(name, value);
  }
  const usual = shape.sorts[query.sort] ?? false;
  if (query.sort !== shape.sort || query.descending !== usual) words.set("sort", query.sort);
  if (query.descending !== usual) words.set("order", query.descending ? "desc" : "asc");
  const text = words.toString();
  return text === "" ? "" : `?${text}`;
}

/** A press on a column's head: another column its own way first, the same one the other way round. */
export function sortedBy(query: ListQuery, sort: string, shape: ListShape): ListQuery {
  if (!Object.hasOwn(shape.sorts, sort)) return query;
  const descending = query.sort === sort ? !query.descending : (shape.sorts[sort] ?? false);
  return { ...query, sort, descending };
}

export function withFields(query: ListQuery, fields: Readonly<Record<string, string>>): ListQuery {
  const trimmed = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value.trim()]));
  return { ...query, fields: { ...query.fields, ...trimmed } };
}

/** Whether anything is left out of the list. */
export function isFiltered(query: ListQuery): boolean {
  return Object.values(query.fields).some((value) => value !== "");
}

/** What all pages of the list are asked by. */
export function wholeList(query: ListQuery): URLSearchParams {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query.fields)) if (value !== "") words.set(name, value);
  words.set("sort", query.sort);
  words.set("descending", String(query.descending));
  return words;
}

/** The parameters of a page's request. */
export function toParameters(query: ListQuery, page: Paging, limit: number): URLSearchParams {
  const words = wholeList(query);
  words.set("limit", String(limit));
  const cursor = page.cursors.at(-1) ?? "";
  if (cursor !== "") words.set("cursor", cursor);
  return words;
}

/** How long the ids of rows in sight may be in an address: a proxy takes 8 KiB in all. */
const KEEP_CHARS = 6_000;

/** The ids that fit, in order. */
export function inSight(ids: readonly string[]): string[] {
  let left = KEEP_CHARS;
  return ids.filter((id) => {
    left -= encodeURIComponent(id).length + "&keep=".length;
    return left >= 0;
  });
}

/** The way to the page that is shown: the cursor of each page from the second on; of the first there is none. */
export interface Paging {
  readonly cursors: readonly string[];
}

export const FIRST_PAGE: Paging = { cursors: [] };

export function nextPage(page: Paging, cursor: string): Paging {
  return { cursors: [...page.cursors, cursor] };
}

export function previousPage(page: Paging): Paging {
  return { cursors: page.cursors.slice(0, -1) };
}
