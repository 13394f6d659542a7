/** A short table whose rows come in the server's order: made once, then only what changed is written. */
import { type Column, type Head, ListRow } from "./list-row";

export class PlainList<R> {
  private readonly rows = new Map<string, ListRow<R>>();
  private readonly heads: readonly Head[];
  private readonly columns: ReadonlyMap<string, Column<R>>;
  private readonly body: HTMLElement;
  private readonly idOf: (row: R) => string;

  constructor(body: HTMLElement, columns: readonly Column<R>[], idOf: (row: R) => string) {
    this.body = body;
    this.idOf = idOf;
    this.columns = new Map(columns.map((column) => [column.key, column]));
    const heads = body.closest("table")?.querySelectorAll<HTMLElement>("thead th") ?? [];
    this.heads = [...heads].map((head) => ({ key: head.dataset["column"] ?? "", label: head.dataset["label"] ?? "" }));
  }

  /** `now`: server time, Unix seconds. */
  draw(rows: readonly R[], now: number): void {
    const wanted = new Set(rows.map((row) => this.idOf(row)));
    for (const [id, row] of this.rows) {
      if (wanted.has(id)) continue;
      row.root.remove();
      this.rows.delete(id);
    }
    let before: Element | null = this.body.firstElementChild;
    for (const row of rows) {
      const id = this.idOf(row);
      const made = this.rows.get(id) ?? new ListRow(id, row, id, this.heads, this.columns);
      this.rows.set(id, made);
      if (made.root === before) before = before.nextElementSibling;
      else this.body.insertBefore(made.root, before);
      made.draw({ id, row, standing: "here", fresh: false, moved: 0 }, { now });
    }
  }
}
