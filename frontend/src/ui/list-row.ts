/** One row of a live list: made once, then only what changed is written. It must not know the list or the server. */
import type { Place } from "../state/places";
import { element, setAttribute, setText } from "./dom";
import { count, t } from "./text";

export interface RowContext {
  /** Server time, Unix seconds. */
  readonly now: number;
}

/** One column: which head it stands under, how its cell is made and written. */
export interface Column<R> {
  readonly key: string;
  readonly classes?: string;
  /** What the cell holds from the beginning; without it the cell is empty. */
  make?(cell: HTMLElement, id: string, row: R): void;
  draw(cell: HTMLElement, row: R, context: RowContext): void;
}

/** A head of the table, as the template has it. */
export interface Head {
  readonly key: string;
  /** What the cell is called where the heads are not seen. */
  readonly label: string;
}

/** The column that holds the box by which a row is chosen. */
export const CHOICE = "choice";

export class ListRow<R> {
  readonly root: HTMLTableRowElement;
  readonly box: HTMLInputElement | null;
  private readonly cells: readonly (readonly [Column<R>, HTMLElement])[];
  private readonly mark = element("span", { class: "list-mark", "data-testid": "mark" });
  private readonly standing = element("span", { class: "list-standing", "data-testid": "standing" });

  /** The first column heads the row; `name` is what the row is called in words. */
  constructor(id: string, row: R, name: string, heads: readonly Head[], columns: ReadonlyMap<string, Column<R>>) {
    const cells: [Column<R>, HTMLElement][] = [];
    this.root = element("tr", { role: "row", "data-testid": "row", "data-id": id });
    this.box = heads.some((head) => head.key === CHOICE) ? chooser(id, name) : null;
    for (const head of heads) {
      if (head.key === CHOICE) {
        this.root.append(element("td", { role: "cell", class: "list-choice" }, this.box ?? ""));
        continue;
      }
      const column = columns.get(head.key);
      if (column === undefined) throw new Error(`the list has no column ${head.key}`);
      const first = cells.length === 0;
      const cell = first
        ? element("th", { role: "rowheader", scope: "row", "data-cell": head.key })
        : element("td", { role: "cell", "data-cell": head.key, "data-label": head.label });
      if (column.classes !== undefined) cell.className = column.classes;
      const inside = first ? element("span", { class: "list-head" }) : cell;
      if (first) cell.append(inside, this.mark, this.standing);
      column.make?.(inside, id, row);
      cells.push([column, inside]);
      this.root.append(cell);
    }
    this.cells = cells;
  }

  draw(place: Place<R>, context: RowContext): void {
    setAttribute(this.root, "data-standing", place.standing);
    for (const [column, cell] of this.cells) column.draw(cell, place.row, context);
    setText(this.standing, place.standing === "here" ? "" : t(`list.standing.${place.standing}`));
    if (this.box !== null) this.box.disabled = place.standing !== "here";
    this.drawMark(place);
  }

  private drawMark(place: Place<R>): void {
    const { moved } = place;
    setAttribute(this.root, "data-moved", place.fresh ? "new" : moved > 0 ? "up" : moved < 0 ? "down" : null);
    const places = count(Math.abs(moved));
    setText(this.mark, place.fresh ? t("list.mark.new") : moved === 0 ? "" : `${moved > 0 ? "▲" : "▼"} ${places}`);
    const words = place.fresh || moved === 0 ? null : t(moved > 0 ? "list.mark.up" : "list.mark.down", { places });
    setAttribute(this.mark, "title", words);
  }
}

function chooser(id: string, name: string): HTMLInputElement {
  return element("input", {
    type: "checkbox",
    class: "form-check-input",
    "aria-label": t("list.choose", { name }),
    value: id,
    "data-testid": "choose",
  });
}

/** A column of plain words; `title` tells more. */
export function words<R>(
  key: string,
  text: (row: R, context: RowContext) => string,
  options: { classes?: string; title?: (row: R, context: RowContext) => string } = {},
): Column<R> {
  return {
    key,
    ...(options.classes === undefined ? {} : { classes: options.classes }),
    draw(cell, row, context) {
      setText(cell, text(row, context));
      if (options.title !== undefined) setAttribute(cell, "title", options.title(row, context) || null);
    },
  };
}

/** A column of figures, at the right. */
export function figures<R>(
  key: string,
  text: (row: R, context: RowContext) => string,
  title?: (row: R, context: RowContext) => string,
): Column<R> {
  return words(key, text, title === undefined ? { classes: "num" } : { classes: "num", title });
}
