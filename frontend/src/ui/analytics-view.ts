/**
 * Draws one dashboard: figures, chart, tables, what has just happened. Rows that stay are not made anew. It must not know
 * the socket; where a row leads is told by who makes it.
 */
import type { Dashboard, Figures, Happening, View } from "../state/analytics";
import {
  type Cell,
  type Lead,
  type Row,
  type Table,
  tablesOf,
  tilesOf,
  timelineOf,
  timeTable,
} from "../state/analytics-tables";
import type { Counted } from "../state/analytics-leads";
import { happeningWords, nameOf, numberOf, rowName, valueOf } from "./analytics-words";
import { Chart, type ChartView } from "./chart";
import { element, part, setAttribute, setHidden, setText } from "./dom";
import { ago, clock, count, exact, t, word } from "./text";

/** More than that nobody reads; the figures have all of them. */
const HAPPENINGS = 12;

export interface ViewActions {
  readonly chart: ChartView;
  /** The address of the list of the quotes that a figure counts; null: the reader may not see it. */
  list(counted: Counted): string | null;
  lead(lead: Exclude<Lead, null>): void;
}

export class AnalyticsView {
  private readonly actions: ViewActions;
  private readonly tiles = part(document, "tiles");
  private readonly charts = part(document, "charts");
  private readonly tables = part(document, "tables");
  private readonly happenings = part(document, "happenings");
  private readonly made = new Map<string, Chart>();
  private drawn = "";

  constructor(actions: ViewActions) {
    this.actions = actions;
  }

  /** Colours or the zone changed, or another dashboard begins. */
  restyle(): void {
    for (const chart of this.made.values()) chart.destroy();
    this.made.clear();
    this.charts.replaceChildren();
    this.drawn = "";
  }

  /** What is on the page now, for export: the same tables that are drawn. */
  shown(view: View, figures: Figures): { tiles: Cell[]; tables: Table[] } {
    const timeline = timelineOf(figures.parts);
    return {
      tiles: tilesOf(view.dashboard, figures.parts),
      tables: [...tablesOf(view.dashboard, figures.parts), ...(timeline === null ? [] : [timeTable(timeline)])],
    };
  }

  draw(view: View, figures: Figures): void {
    const { tiles, tables } = this.shown(view, figures);
    this.drawTiles(view.dashboard, tiles, figures.asOf);
    this.drawCharts(figures);
    this.drawTables(tables);
  }

  drawHappenings(found: readonly Happening[], now: number): void {
    const shown = found.slice(0, HAPPENINGS);
    setHidden(part(document, "happenings-none"), shown.length > 0);
    while (this.happenings.children.length > shown.length) this.happenings.lastElementChild?.remove();
    for (const [i, one] of shown.entries()) {
      const line =
        this.happenings.children[i] ??
        this.happenings.appendChild(
          element("li", { "data-testid": "happening" }, element("time"), " ", element("span")),
        );
      const [time, words] = line.children as unknown as [HTMLElement, HTMLElement];
      setText(time, ago(Math.max(0, now - one.at)));
      setAttribute(time, "title", exact(one.at));
      const skipped = one.skipped > 0 ? ` ${t("analytics.skipped", { count: count(one.skipped) })}` : "";
      setText(words, happeningWords(one) + skipped);
    }
  }

  // ---- figures

  private drawTiles(dashboard: Dashboard, cells: readonly Cell[], asOf: number): void {
    const keys = `${dashboard}:${cells.map((cell) => cell.name).join()}`;
    if (this.tiles.dataset["keys"] !== keys) {
      this.tiles.dataset["keys"] = keys;
      this.tiles.replaceChildren(
        ...cells.map((cell) =>
          element(
            "div",
            { class: "a-tile", "data-figure": cell.name, "data-testid": `figure-${cell.name}` },
            element("dt", {}, nameOf(cell.name)),
            element("dd"),
          ),
        ),
      );
    }
    for (const [i, cell] of cells.entries()) {
      const value = this.tiles.children[i]?.querySelector("dd");
      if (value === null || value === undefined) continue;
      this.drawFigure(value, cell, "");
      setAttribute(value, "title", t("time.as_of", { time: exact(asOf) }));
    }
  }

  /** The figure, and the way to what it counts, if it counts any. `of`: what of; empty for the whole. */
  private drawFigure(target: HTMLElement, cell: Cell, of: string): void {
    const text = valueOf(cell);
    if (target.textContent !== "" && target.textContent !== text) flash(target);
    const href = cell.counted === undefined || !cell.value ? null : this.actions.list(cell.counted);
    const link = target.querySelector("a");
    if (href === null) {
      link?.remove();
      setText(target, text);
      return;
    }
    const shown = link ?? element("a", { class: "a-list", "data-testid": "list" });
    if (link === null) target.replaceChildren(shown);
    setText(shown, text);
    setAttribute(shown, "href", href);
    const named = of === "" ? nameOf(cell.name) : `${nameOf(cell.name)}, ${of}`;
    setAttribute(shown, "aria-label", `${text}: ${t("analytics.lead.list", { name: named })}`);
  }

  // ---- chart

  private drawCharts(figures: Figures): void {
    const timeline = timelineOf(figures.parts);
    setHidden(part(document, "timeline"), timeline === null);
    if (timeline === null) return;
    // A chart that has not changed keeps its cursor and its zoom.
    const now = JSON.stringify([timeline, this.actions.chart.zoom, this.actions.chart.rangeS]);
    if (now === this.drawn) return;
    this.drawn = now;
    for (const series of timeline.series) {
      const chart = this.made.get(series.name) ?? this.makeChart(series.name);
      const format = numberOf(series.kind);
      const known = series.values.filter((value) => value !== null);
      const label = t("analytics.chart.label", {
        figure: nameOf(series.name),
        from: exact(timeline.times[0]),
        to: exact(timeline.times.at(-1)),
        high: format(known.length > 0 ? Math.max(...known) : null),
        last: format(series.values.at(-1) ?? null),
      });
      chart.draw(
        timeline.times,
        [{ label: series.name, values: series.values, dotted: series.kind === "ms" }],
        format,
        label,
      );
    }
  }

  private makeChart(name: string): Chart {
    const readout = element("span", { class: "chart-read" });
    const host = element("div", {
      class: "chart",
      role: "img",
      "data-tall": true,
      "data-testid": `chart-${name}`,
      "aria-label": nameOf(name),
    });
    this.charts.append(
      element(
        "div",
        { class: "a-chart" },
        element("p", { class: "chart-head" }, element("span", {}, nameOf(name)), readout),
        host,
      ),
    );
    const chart = new Chart(host, readout, this.actions.chart, "--tw-accent");
    this.made.set(name, chart);
    return chart;
  }

  // ---- tables

  private drawTables(tables: readonly Table[]): void {
    const wanted = new Set(tables.map((table) => `table-${table.key}`));
    for (const card of [...this.tables.children]) if (!wanted.has(card.id)) card.remove();
    for (const table of tables.filter((one) => one.key !== "timeline")) {
      const id = `table-${table.key}`;
      const card = document.getElementById(id) ?? this.tables.appendChild(this.makeCard(id, table));
      this.drawRows(card, table);
    }
    const times = tables.find((table) => table.key === "timeline");
    const twin = part<HTMLDetailsElement>(document, "twin");
    if (times === undefined || !twin.open) return;
    const body = part(twin, "twin-table");
    const card = body.firstElementChild ?? body.appendChild(this.makeCard("table-timeline", times));
    if (card instanceof HTMLElement) this.drawRows(card, times);
  }

  private makeCard(id: string, table: Table): HTMLElement {
    const none = element("p", { class: "a-quiet a-none" }, t("analytics.table.none"));
    // The chart's twin stands under the chart's own heading.
    if (table.key === "timeline") {
      return element("div", { class: "a-table a-inner", id, "data-testid": id }, scrolled("a-timeline-title"), none);
    }
    const title = element("h2", { id: `${id}-title` }, word("analytics.table", table.key));
    const note = word("analytics.note", table.key);
    return element(
      "section",
      { class: "card a-table", id, "aria-labelledby": `${id}-title`, "data-testid": id },
      element(
        "div",
        { class: "a-table-head" },
        title,
        ...(note === table.key ? [] : [element("p", { class: "a-quiet" }, note)]),
      ),
      scrolled(`${id}-title`),
      none,
    );
  }

  private drawRows(card: HTMLElement, table: Table): void {
    const head = card.querySelector("thead tr");
    const body = card.querySelector("tbody");
    const none = card.querySelector<HTMLElement>(".a-none");
    if (head === null || body === null || none === null) return;
    setHidden(none, table.rows.length > 0);
    const names = table.rows[0]?.cells.map((cell) => cell.name) ?? [];
    if (head.children.length !== names.length + 1) {
      const heads = names.map((name) => element("th", { scope: "col", class: "num" }, nameOf(name)));
      head.replaceChildren(element("th", { scope: "col" }, word("analytics.rows", table.key)), ...heads);
    }
    const most = Math.max(1, ...table.rows.map((row) => Number(row.cells[0]?.value ?? 0)));
    const wanted = new Set(table.rows.map((row) => String(row.key)));
    for (const line of [...body.children]) if (!wanted.has((line as HTMLElement).dataset["key"] ?? "")) line.remove();
    const lines = new Map(
      [...body.children].map((line) => [(line as HTMLElement).dataset["key"], line as HTMLElement]),
    );
    for (const [place, row] of table.rows.entries()) {
      const line = lines.get(String(row.key)) ?? this.makeRow(table.key, row);
      if (body.children[place] !== line) body.insertBefore(line, body.children[place] ?? null);
      this.drawRow(
        line,
        row,
        rowName(table.key, row.key),
        table.key === "timeline" ? null : Number(row.cells[0]?.value ?? 0) / most,
      );
    }
  }

  private drawRow(line: HTMLElement, row: Row, name: string, share: number | null): void {
    for (const [i, cell] of row.cells.entries()) {
      const target = line.children[i + 1];
      if (!(target instanceof HTMLElement)) continue;
      this.drawFigure(target, cell, name);
      setAttribute(target, "data-cell", cell.name);
    }
    if (share !== null) line.style.setProperty("--share", String(Math.round(share * 1000) / 1000));
  }

  private makeRow(table: string, row: Row): HTMLElement {
    const name = rowName(table, row.key);
    const { lead } = row;
    const head = element("th", { scope: "row" });
    if (lead === null) head.append(name);
    else {
      const words = "status" in lead ? t("analytics.lead.list", { name }) : t("analytics.lead.only", { name });
      const button = element(
        "button",
        { type: "button", class: "btn-link", title: words, "data-testid": "lead" },
        name,
      );
      button.addEventListener("click", () => this.actions.lead(lead));
      head.append(button);
    }
    if (typeof row.key === "number") setAttribute(head, "title", `${clock(row.key)} ${exact(row.key)}`);
    return element(
      "tr",
      { "data-key": String(row.key) },
      head,
      ...row.cells.map(() => element("td", { class: "num" })),
    );
  }
}

/** An empty table that scrolls by itself where it is too wide, with keys, too. */
function scrolled(labelledBy: string): HTMLElement {
  return element(
    "div",
    { class: "a-scroll", tabindex: "0", role: "group", "aria-labelledby": labelledBy },
    element("table", {}, element("thead", {}, element("tr")), element("tbody")),
  );
}

/** Marks what has changed for a moment; the two names begin the same animation anew. */
function flash(target: HTMLElement): void {
  setAttribute(target, "data-flash", target.dataset["flash"] === "a" ? "b" : "a");
}
