/**
 * Every figure of every node under the name that /metrics gives it, by group, found by text. Rows keep their places. It
 * must not know where figures come from.
 */
import { type Figure, seriesOf, type SystemMetrics } from "../state/vitals";
import { element, part, setHidden, setText } from "./dom";
import { count, language, NONE, word } from "./text";

const few = new Intl.NumberFormat(language, { maximumSignificantDigits: 4, useGrouping: false });

interface Row {
  readonly root: HTMLTableRowElement;
  readonly cells: readonly HTMLElement[];
  readonly series: string;
}

export class FigureTable {
  private readonly root: HTMLDetailsElement;
  private readonly body: HTMLElement;
  private readonly heads: HTMLElement;
  private readonly text: HTMLInputElement;
  private readonly rows = new Map<string, Row>();
  private message: SystemMetrics | null = null;
  private columns = "";

  constructor(root: HTMLElement) {
    this.root = root as HTMLDetailsElement;
    this.body = part(root, "figure-rows");
    this.heads = part(root, "figure-heads");
    this.text = part<HTMLInputElement>(root, "figure-text");
    this.text.addEventListener("input", () => this.filter());
    root.addEventListener("toggle", () => this.draw());
  }

  take(message: SystemMetrics): void {
    this.message = message;
  }

  draw(): void {
    // A table that nobody has opened costs nothing.
    if (this.message === null || !this.root.open) return;
    this.drawHeads(this.message);
    const known = new Set<string>();
    for (const [group, figures] of Object.entries(this.message.groups)) {
      for (const figure of figures) {
        const id = `${group} ${seriesOf(figure)}`;
        known.add(id);
        this.drawRow(this.rows.get(id) ?? this.make(id, group, figure), figure);
      }
    }
    for (const [id, row] of this.rows) {
      if (known.has(id)) continue;
      row.root.remove();
      this.rows.delete(id);
    }
    this.filter();
  }

  private drawHeads(message: SystemMetrics): void {
    const names = message.nodes.map((node) => node.instance).join(" ");
    if (names === this.columns) return;
    this.columns = names;
    for (const old of this.heads.querySelectorAll('[data-part="figure-node"]')) old.remove();
    const last = part(this.heads, "figure-total");
    for (const node of message.nodes) {
      const head = element(
        "th",
        { scope: "col", class: "num", "data-part": "figure-node", title: node.instance },
        node.node,
      );
      last.before(head);
    }
    for (const row of this.rows.values()) row.root.remove();
    this.rows.clear();
  }

  private make(id: string, group: string, figure: Figure): Row {
    const cells = [...figure.values, null, null].map(() => element("td", { class: "num" }));
    const series = seriesOf(figure);
    const root = element(
      "tr",
      { "data-testid": "figure", "data-series": series, "data-group": group },
      element("td", {}, word("health.group", group)),
      element("th", { scope: "row" }, element("code", {}, series)),
      ...cells,
    );
    this.body.append(root);
    const row = { root, cells, series };
    this.rows.set(id, row);
    return row;
  }

  private drawRow(row: Row, figure: Figure): void {
    const values = [...figure.values, figure.total, figure.total_per_second ?? null];
    for (const [i, cell] of row.cells.entries()) setText(cell, shown(values[i] ?? null));
  }

  private filter(): void {
    const text = this.text.value.trim().toLowerCase();
    let matching = 0;
    for (const row of this.rows.values()) {
      const matches = row.series.toLowerCase().includes(text);
      matching += matches ? 1 : 0;
      setHidden(row.root, !matches);
    }
    setText(part(this.root, "figure-count"), count(matching));
  }
}

/** As exact as a Prometheus page, short enough for a table. */
function shown(value: number | null): string {
  if (value === null) return NONE;
  return Number.isInteger(value) ? count(value) : few.format(value);
}
