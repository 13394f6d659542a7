/**
 * What stands around a live list: its fields, its sort on narrow screens, its pages. It keeps the question in the address
 * and says when it has changed. It must not know the server or the rows.
 */
import {
  FIRST_PAGE,
  fromAddress,
  isFiltered,
  type ListQuery,
  type ListShape,
  nextPage,
  type Paging,
  previousPage,
  sortedBy,
  toAddress,
  withFields,
} from "../state/list-query";
import { find, part, setAttribute, setHidden, setText } from "./dom";
import { count, t } from "./text";

/** Typing stops this long before the server is asked. */
const SETTLE_MS = 300;

export class ListTools {
  query: ListQuery;
  paging: Paging = FIRST_PAGE;
  private readonly shape: ListShape;
  private readonly changed: () => void;
  private readonly form = part<HTMLFormElement>(document, "filter");
  private readonly next = part<HTMLButtonElement>(document, "next");
  private readonly previous = part<HTMLButtonElement>(document, "previous");
  private timer: ReturnType<typeof setTimeout> | undefined;
  private cursor: string | null = null;

  /** `changed`: the question is another, or another page is wanted. */
  constructor(shape: ListShape, changed: () => void) {
    this.shape = shape;
    this.changed = changed;
    this.query = fromAddress(location.search, shape);
    this.fill();
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.read();
    });
    this.form.addEventListener("input", (event) => {
      clearTimeout(this.timer);
      const typed = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
      this.timer = setTimeout(() => this.read(), typed ? SETTLE_MS : 0);
    });
    part(document, "filter-clear").addEventListener("click", () => this.clear());
    this.next.addEventListener("click", () =>
      this.turn(this.cursor === null ? this.paging : nextPage(this.paging, this.cursor)),
    );
    this.previous.addEventListener("click", () => this.turn(previousPage(this.paging)));
    const sort = part<HTMLSelectElement>(document, "sort");
    sort.addEventListener("change", () => this.sortBy(sort.value));
    part(document, "turn-round").addEventListener("click", () => this.sortBy(this.query.sort));
    window.addEventListener("popstate", () => {
      this.query = fromAddress(location.search, shape);
      this.fill();
      this.turn(FIRST_PAGE);
    });
  }

  focus(): void {
    const field = find<HTMLInputElement>(this.form, "input[type=search]");
    field.focus();
    field.select();
  }

  /** Writes fields, and asks. */
  set(fields: Readonly<Record<string, string>>): void {
    this.change(withFields(this.query, fields));
    this.fill();
  }

  /** Asks for everything. */
  clear(): void {
    this.set(emptied(this.shape));
  }

  sortBy(key: string): void {
    this.change(sortedBy(this.query, key, this.shape));
    this.fill();
  }

  /** The cursor was one of another life of the list: begins anew. */
  toFirstPage(): void {
    this.turn(FIRST_PAGE);
  }

  /** Says what has come: how many match, and whether there is a next page. */
  say(matching: number | null, shown: number, cursor: string | null, limit: number): void {
    this.cursor = cursor;
    const page = this.paging.cursors.length + 1;
    const pages = Math.max(page, Math.ceil((matching ?? 0) / limit));
    const known = matching !== null;
    setText(
      part(document, "matching"),
      known ? t("list.matching", { shown: count(shown), count: count(matching) }) : "",
    );
    setText(part(document, "page"), t("list.page", { page: count(page), pages: count(pages) }));
    setHidden(part(document, "pager"), page === 1 && cursor === null);
    setEnabled(this.next, cursor !== null);
    setEnabled(this.previous, page > 1);
    part<HTMLButtonElement>(document, "filter-clear").disabled = !isFiltered(this.query);
  }

  private read(): void {
    clearTimeout(this.timer);
    const given: Record<string, string> = {};
    for (const name of this.shape.fields) given[name] = readField(this.field(name));
    const next = withFields(this.query, given);
    // A pause in typing that changed nothing is no new question.
    if (toAddress(next, this.shape) !== toAddress(this.query, this.shape)) this.change(next);
  }

  private change(query: ListQuery): void {
    this.query = query;
    history.replaceState(null, "", `${location.pathname}${toAddress(query, this.shape)}`);
    this.turn(FIRST_PAGE);
  }

  private turn(paging: Paging): void {
    this.paging = paging;
    this.changed();
  }

  private fill(): void {
    for (const name of this.shape.fields) writeField(this.field(name), this.query.fields[name] ?? "");
    part<HTMLSelectElement>(document, "sort").value = this.query.sort;
    setAttribute(part(document, "turn-round"), "aria-pressed", String(this.query.descending));
  }

  private field(name: string): HTMLInputElement | HTMLSelectElement {
    return find<HTMLInputElement | HTMLSelectElement>(this.form, `[name="${name}"]`);
  }
}

function emptied(shape: ListShape): Record<string, string> {
  return Object.fromEntries(shape.fields.map((name) => [name, ""]));
}

function readField(field: HTMLInputElement | HTMLSelectElement): string {
  return field instanceof HTMLInputElement && field.type === "checkbox" ? (field.checked ? "true" : "") : field.value;
}

function writeField(field: HTMLInputElement | HTMLSelectElement, value: string): void {
  if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === "true";
  else field.value = value;
  // What is first in a list of choices may be named by another word, too.
  if (field instanceof HTMLSelectElement && field.selectedIndex === -1) field.selectedIndex = 0;
}

/** Not `disabled`: a button that turns a page must not lose the focus when the last one is reached. */
function setEnabled(button: HTMLButtonElement, enabled: boolean): void {
  setAttribute(button, "aria-disabled", enabled ? null : "true");
}
