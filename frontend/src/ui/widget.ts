/**
 * One widget of a dashboard: a figure, a chart or a table. It draws what is remembered of its figures, each with its age,
 * and says what is missing. It must not know where it lies, or the server.
 */
import type { Metric, Widget } from "../socket/dashboards-api";
import { nameOf } from "../state/board";
import { keyOf, type Memory, newest, window } from "../state/figures";
import { Chart, type ChartView } from "./chart";
import { element, fromTemplate, part, setAttribute, setHidden, setText } from "./dom";
import { ago, bytes, count, decimal, exact, milliseconds, NONE, t, translated } from "./text";

/** Two readings that did not come: an older figure is not that of now. */
export const OLD_S = 15;
const COLOURS = ["--tw-accent", "--tw-warn", "--tw-ok", "--tw-error", "--tw-idle", "--tw-ink"];

export class WidgetView {
  readonly root = fromTemplate("widget");
  private readonly body = part(this.root, "body");
  private readonly age = part(this.root, "age");
  private chart: Chart | null = null;
  private shape = "";
  private drawn: Memory | null = null;
  private readonly view: ChartView;

  constructor(view: ChartView) {
    this.view = view;
  }

  /** Colours or the zone changed. */
  restyle(): void {
    this.chart?.restyle();
    this.drawn = null;
  }

  destroy(): void {
    this.chart?.destroy();
    this.root.remove();
  }

  draw(widget: Widget, memory: Memory, metrics: ReadonlyMap<string, Metric>, now: number): void {
    const title = translated(`dash.tile.${widget.id}`, widget.title) || widget.figures.map(nameOf).join(", ");
    setText(part(this.root, "title"), title);
    setAttribute(part(this.root, "title"), "title", widget.figures.map((figure) => figure.metric).join(", "));
    this.build(widget);
    this.drawAge(widget, memory, now);
    if (memory === this.drawn) return;
    this.drawn = memory;
    if (widget.kind === "figure") this.drawFigure(widget, memory, metrics);
    else if (widget.kind === "chart") this.drawChart(widget, memory, metrics, title);
    else this.drawTable(widget, memory, metrics);
  }

  /** Makes the parts anew when the widget is another. */
  private build(widget: Widget): void {
    const shape = JSON.stringify([widget.kind, widget.figures, widget.range_s, widget.w, widget.h]);
    if (shape === this.shape) return;
    this.shape = shape;
    this.drawn = null;
    this.chart?.destroy();
    this.chart = null;
    this.body.replaceChildren();
    if (widget.kind === "chart") {
      const host = element("div", { class: "widget-chart", role: "img", "data-tall": true });
      const readout = element("p", { class: "widget-readout" });
      const legend = element("ul", { class: "widget-legend" });
      this.body.append(readout, host, legend);
      widget.figures.forEach((figure, i) => {
        const dot = element("span", { class: "widget-dot", "data-line": String(i), "aria-hidden": "true" });
        legend.append(element("li", { title: figure.metric }, dot, nameOf(figure), " ", element("b")));
      });
      this.chart = new Chart(host, readout, this.view, ...COLOURS);
    }
  }

  private drawAge(widget: Widget, memory: Memory, now: number): void {
    const found = widget.figures.map((figure) => newest(memory, keyOf(figure)));
    const absent = widget.figures.filter((figure) => memory.lines.get(keyOf(figure)) === 0);
    const at = found.reduce<number | null>((oldest, each) => {
      if (each === null) return oldest;
      return oldest === null ? each.at : Math.min(oldest, each.at);
    }, null);
    const old = at !== null && now - at > OLD_S;
    setAttribute(this.root, "data-old", old || at === null ? "" : null);
    setText(this.age, at === null ? "" : old ? t("dash.old", { age: ago(now - at) }) : ago(now - at));
    setAttribute(this.age, "title", at === null ? null : exact(at));
    const note = part(this.root, "note");
    setHidden(note, absent.length === 0);
    setText(note, absent.length === 0 ? "" : t("dash.absent", { name: absent.map(nameOf).join(", ") }));
  }

  private drawFigure(widget: Widget, memory: Memory, metrics: ReadonlyMap<string, Metric>): void {
    const [figure] = widget.figures;
    if (figure === undefined) return;
    const value = newest(memory, keyOf(figure))?.value ?? null;
    const shown = element("p", { class: "widget-figure", "data-testid": "figure" }, formatOf(figure, metrics)(value));
    this.body.replaceChildren(shown);
  }

  private drawChart(widget: Widget, memory: Memory, metrics: ReadonlyMap<string, Metric>, title: string): void {
    const lines = widget.figures.map((figure) => ({ figure, ...window(memory, keyOf(figure), widget.range_s) }));
    const [first] = lines;
    if (first === undefined || this.chart === null) return;
    const format = formatOf(first.figure, metrics);
    const chartLines = lines.map((line) => ({ label: nameOf(line.figure), values: line.values }));
    this.chart.draw(first.times, chartLines, format, t("dash.chart_of", { name: title }));
    const items = this.body.querySelectorAll(".widget-legend b");
    lines.forEach((line, i) => {
      const item = items[i];
      if (item !== undefined)
        setText(item, formatOf(line.figure, metrics)(newest(memory, keyOf(line.figure))?.value ?? null));
    });
  }

  private drawTable(widget: Widget, memory: Memory, metrics: ReadonlyMap<string, Metric>): void {
    const table = element("table", { class: "widget-table" });
    const heads = ["dash.figure", "dash.now", "dash.least", "dash.most"] as const;
    table.append(
      element("thead", {}, element("tr", {}, ...heads.map((key) => element("th", { scope: "col" }, t(key))))),
    );
    const rows = widget.figures.map((figure) => {
      const format = formatOf(figure, metrics);
      const values = window(memory, keyOf(figure), widget.range_s).values.filter((value) => value !== null);
      const now = newest(memory, keyOf(figure))?.value ?? null;
      const cells = [now, ...(values.length === 0 ? [null, null] : [Math.min(...values), Math.max(...values)])];
      return element(
        "tr",
        {},
        element("th", { scope: "row", title: figure.metric }, nameOf(figure)),
        ...cells.map((value) => element("td", { class: "num" }, format(value))),
      );
    });
    table.append(element("tbody", {}, ...rows));
    this.body.replaceChildren(table);
  }
}

/** How a figure's values are written, with their unit. */
export function formatOf(
  figure: { readonly metric: string; readonly shown: string },
  metrics: ReadonlyMap<string, Metric>,
): (value: number | null) => string {
  const unit = metrics.get(figure.metric)?.unit ?? "";
  const each = byUnit(unit);
  if (figure.shown !== "per_second") return each;
  return (value) => (value === null ? NONE : `${unit === "" ? decimal(value) : each(value)}/s`);
}

function byUnit(unit: string): (value: number | null) => string {
  if (unit === "bytes") return bytes;
  if (unit === "seconds") return (value) => (value === null ? NONE : milliseconds(value * 1000));
  if (unit === "per second") return (value) => (value === null ? NONE : `${decimal(value)}/s`);
  if (unit === "ratio") return (value) => (value === null ? NONE : `${decimal(value * 100)} %`);
  return (value) => (value === null || Number.isInteger(value) ? count(value) : decimal(value));
}
