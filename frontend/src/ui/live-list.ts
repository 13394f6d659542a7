/**
 * A live list: a table whose rows keep their places while somebody looks at them, and a line that says what would move.
 * The order is taken anew when the operator asks, or every ten seconds while nothing in the table is pointed at, focused
 * or chosen. It must not know the server or what a row is.
 */
import {
  type Answer,
  isNothing,
  type Moves,
  noPlaces,
  pending,
  type Place,
  type Places,
  refresh,
  take,
} from "../state/places";
import { part, setAttribute, setHidden, setText } from "./dom";
import { type Column, type Head, ListRow } from "./list-row";
import { clock, count, t } from "./text";

/** A list that is sorted anew more often than it can be read is no list. */
export const ORDER_EVERY_S = 10;

export interface ListOptions<R> {
  readonly columns: readonly Column<R>[];
  idOf(row: R): string;
  /** What a row is called in words. */
  nameOf(row: R): string;
  /** Called when rows were chosen or let go. */
  chosenChanged?(): void;
  /** Called when the head of a column that sorts is pressed. */
  sortPressed?(key: string): void;
}

export class LiveList<R> {
  private places: Places<R> = noPlaces();
  private readonly rows = new Map<string, ListRow<R>>();
  private readonly chosen = new Set<string>();
  private readonly root: HTMLElement;
  private readonly options: ListOptions<R>;
  private readonly columns: ReadonlyMap<string, Column<R>>;
  private readonly heads: readonly Head[];
  private readonly body: HTMLElement;
  private readonly all: HTMLInputElement | null;
  private pointed = false;
  private anew = true;
  /** How far the server's clock is ahead of ours, seconds. */
  private ahead = 0;

  /** `root` holds the table, the line on the order and its button, marked with `data-part`. */
  constructor(root: HTMLElement, options: ListOptions<R>) {
    this.root = root;
    this.options = options;
    this.columns = new Map(options.columns.map((column) => [column.key, column]));
    this.body = part(root, "rows");
    this.heads = [...root.querySelectorAll<HTMLElement>("thead th")].map((head) => ({
      key: head.dataset["column"] ?? "",
      label: head.dataset["label"] ?? head.textContent?.trim() ?? "",
    }));
    this.all = root.querySelector<HTMLInputElement>('[data-part="choose-all"]');
    this.wire();
  }

  private wire(): void {
    this.body.addEventListener("pointerenter", () => {
      this.pointed = true;
    });
    this.body.addEventListener("pointerleave", () => {
      this.pointed = false;
    });
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    this.body.addEventListener("change", (event) => {
      const box = event.target;
      if (box instanceof HTMLInputElement && box.type === "checkbox") this.choose([box.value], box.checked);
    });
    this.all?.addEventListener("change", () => this.choose(this.ids("here"), this.all?.checked ?? false));
    for (const button of this.root.querySelectorAll<HTMLButtonElement>("thead [data-sort]"))
      button.addEventListener("click", () => this.options.sortPressed?.(button.dataset["sort"] ?? ""));
    part(this.root, "take").addEventListener("click", () => this.take(Date.now() / 1000 + this.ahead));
  }

  /** The next answer is to another question: its order counts, and nothing has moved. */
  ask(): void {
    this.anew = true;
    this.choose([...this.chosen], false);
  }

  /** Takes an answer. `now`: server time, Unix seconds; `unknown`: whether a row's absence proves nothing. */
  answer(answer: Answer<R>, now: number, unknown: (row: R) => boolean): void {
    const { idOf } = this.options;
    this.ahead = now - Date.now() / 1000;
    this.places = refresh(this.places, answer, idOf, unknown);
    const { takenAt } = this.places;
    const empty = this.places.places.length === 0;
    const due = takenAt === null || now - takenAt >= ORDER_EVERY_S || empty;
    if (this.anew || (due && !this.isLookedAt() && (empty || !isNothing(pending(this.places, idOf))))) this.take(now);
    this.choose(this.ids("gone"), false);
  }

  /** Takes the server's order. `now`: server time, Unix seconds. */
  take(now: number): void {
    const focused = document.activeElement;
    this.places = take(this.places, this.options.idOf, now, this.anew);
    this.anew = false;
    this.layOut(now);
    // A row that is moved in the document loses the focus.
    if (focused instanceof HTMLElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
  }

  /** Whether somebody points at a row, has the focus in one or has chosen some. */
  isLookedAt(): boolean {
    return this.pointed || this.chosen.size > 0 || this.body.contains(document.activeElement);
  }

  get length(): number {
    return this.places.places.length;
  }

  get selected(): readonly string[] {
    return [...this.chosen];
  }

  /** Lets all chosen rows go. */
  letGo(): void {
    this.choose([...this.chosen], false);
  }

  row(id: string): R | undefined {
    return this.places.places.find((place) => place.id === id)?.row;
  }

  /** The rows in sight, for the next question; with `here` only those that live. */
  ids(standing?: "here" | "gone"): string[] {
    return this.places.places.filter((one) => standing === undefined || one.standing === standing).map((one) => one.id);
  }

  showSort(sort: string, descending: boolean): void {
    for (const button of this.root.querySelectorAll<HTMLElement>("thead [data-sort]")) {
      const own = button.dataset["sort"] === sort;
      const head = button.closest("th");
      if (head !== null) setAttribute(head, "aria-sort", own ? (descending ? "descending" : "ascending") : null);
    }
  }

  draw(now: number): void {
    for (const place of this.places.places) this.rows.get(place.id)?.draw(place, { now });
    this.drawOrder();
    if (this.all === null) return;
    const here = this.ids("here").length;
    this.all.checked = here > 0 && this.chosen.size === here;
    this.all.indeterminate = this.chosen.size > 0 && this.chosen.size < here;
    this.all.disabled = here === 0;
  }

  private drawOrder(): void {
    const wait = pending(this.places, this.options.idOf);
    const still = !isNothing(wait);
    const { last, takenAt } = this.places;
    const moved = last === null || isNothing(last) ? t("list.order.same") : movesIn(last);
    const line = part(this.root, "order");
    setAttribute(line, "data-still", String(still));
    setText(
      line,
      still ? t("list.order.still", { moves: movesIn(wait) }) : t("list.order", { time: clock(takenAt), moves: moved }),
    );
    setHidden(line, takenAt === null);
    setHidden(part(this.root, "take"), !still);
  }

  /** Adds, moves and removes rows; those that stand where they stood are not touched, and none appears empty. */
  private layOut(now: number): void {
    const wanted = new Set(this.places.places.map((place) => place.id));
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      row.root.remove();
      this.rows.delete(id);
    }
    let before: Element | null = this.body.firstElementChild;
    for (const place of this.places.places) {
      const row = this.rows.get(place.id) ?? this.make(place, now);
      if (row.root === before) before = before.nextElementSibling;
      else this.body.insertBefore(row.root, before);
    }
  }

  private make(place: Place<R>, now: number): ListRow<R> {
    const made = new ListRow(place.id, place.row, this.options.nameOf(place.row), this.heads, this.columns);
    made.draw(place, { now });
    this.rows.set(place.id, made);
    return made;
  }

  private choose(ids: readonly string[], chosen: boolean): void {
    const before = this.chosen.size;
    for (const id of ids) {
      if (chosen) this.chosen.add(id);
      else this.chosen.delete(id);
      const box = this.rows.get(id)?.box;
      if (box) box.checked = chosen;
    }
    if (before !== this.chosen.size) this.options.chosenChanged?.();
  }

  /** The arrows go from row to row, to the same control. */
  private onKey(event: KeyboardEvent): void {
    const { target } = event;
    if (!(target instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = target.closest("tr");
    if (row === null) return;
    const rows = [...this.body.children];
    const at = rows.indexOf(row);
    const goals: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 };
    const goal = rows[goals[event.key] ?? -1];
    if (goal === undefined) return;
    event.preventDefault();
    const cell = target.closest("td, th");
    if (cell === null) return;
    const place = controls(cell).indexOf(target);
    const there = goal.children[[...row.children].indexOf(cell)];
    if (there !== undefined) (controls(there)[place] ?? controls(there)[0])?.focus();
  }
}

function controls(cell: Element): HTMLElement[] {
  return [...cell.querySelectorAll<HTMLElement>("a, button, input")];
}

/** "3 moved, 1 new, 2 gone". */
export function movesIn(moves: Moves): string {
  const { moved, fresh, gone } = moves;
  const said = [
    moved > 0 ? t("list.moves.moved", { count: count(moved) }) : "",
    fresh > 0 ? t("list.moves.fresh", { count: count(fresh) }) : "",
    gone > 0 ? t("list.moves.gone", { count: count(gone) }) : "",
  ];
  return said.filter((one) => one !== "").join(", ");
}
