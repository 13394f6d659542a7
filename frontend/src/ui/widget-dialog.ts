/**
 * Composing one widget: its kind, title, range and figures. It says what cannot be before anything is sent. It must not
 * know the grid or the server.
 */
import { type Figure, type Kind, type Metric, RANGES_S, SHOWN, TOTALS, type Widget } from "../socket/dashboards-api";
import { labelText, most, readLabels } from "../state/board";
import { element, find, fromTemplate, part, setHidden, setText } from "./dom";
import { t } from "./text";

export type Composed = Pick<Widget, "kind" | "title" | "range_s" | "figures">;

export class WidgetDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#widget-dialog");
  private readonly kind = find<HTMLSelectElement>(this.dialog, "#widget-kind");
  private readonly title = find<HTMLInputElement>(this.dialog, "#widget-title");
  private readonly range = find<HTMLSelectElement>(this.dialog, "#widget-range");
  private readonly figures = part(this.dialog, "figures");
  private readonly more = part<HTMLButtonElement>(this.dialog, "figure-add");
  private readonly failed = part(this.dialog, "widget-error");
  private metrics: readonly Metric[] = [];
  private done: (composed: Composed) => void = () => {};

  constructor() {
    for (const seconds of RANGES_S) {
      this.range.append(
        element("option", { value: String(seconds) }, t("dash.minutes", { count: String(seconds / 60) })),
      );
    }
    this.kind.addEventListener("change", () => this.count());
    this.more.addEventListener("click", () => {
      this.add(null);
      this.count();
    });
    part(this.dialog, "widget-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "widget-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.finish();
    });
  }

  know(metrics: readonly Metric[]): void {
    this.metrics = metrics;
    const list = find(this.dialog, "#metric-names");
    list.replaceChildren(...metrics.map((metric) => element("option", { value: metric.name }, metric.help)));
  }

  open(widget: Composed | null, done: (composed: Composed) => void): void {
    this.done = done;
    this.kind.value = widget?.kind ?? "chart";
    this.title.value = widget?.title ?? "";
    this.range.value = String(widget?.range_s ?? 300);
    this.figures.replaceChildren();
    for (const figure of widget?.figures ?? []) this.add(figure);
    if (this.figures.childElementCount === 0) this.add(null);
    setHidden(this.failed, true);
    this.count();
    this.dialog.showModal();
    this.kind.focus();
  }

  private add(figure: Figure | null): void {
    const row = fromTemplate("figure-row");
    const total = part<HTMLSelectElement>(row, "total");
    const shown = part<HTMLSelectElement>(row, "shown");
    for (const each of TOTALS) total.append(element("option", { value: each }, t(`dash.total.${each}`)));
    for (const each of SHOWN) shown.append(element("option", { value: each }, t(`dash.shown.${each}`)));
    const metric = part<HTMLInputElement>(row, "metric");
    metric.value = figure?.metric ?? "";
    part<HTMLInputElement>(row, "labels").value = labelText(figure?.labels ?? {});
    total.value = figure?.total ?? "sum";
    shown.value = figure?.shown ?? "value";
    // What is usual for the figure chosen: a counter by how fast it rises, a time by its worst.
    metric.addEventListener("change", () => {
      const known = this.metrics.find((each) => each.name === metric.value.trim());
      if (known === undefined) return;
      shown.value = known.kind === "gauge" ? "value" : "per_second";
      total.value = known.total;
    });
    part(row, "figure-remove").addEventListener("click", () => {
      row.remove();
      this.count();
    });
    this.figures.append(row);
  }

  private count(): void {
    const room = most(this.kind.value as Kind);
    this.more.disabled = this.figures.childElementCount >= room;
    const only = this.figures.childElementCount === 1;
    for (const button of this.figures.querySelectorAll<HTMLButtonElement>('[data-part="figure-remove"]')) {
      button.disabled = only;
    }
  }

  private finish(): void {
    const figures: Figure[] = [];
    for (const row of this.figures.children) {
      const metric = part<HTMLInputElement>(row, "metric").value.trim();
      const labels = readLabels(part<HTMLInputElement>(row, "labels").value);
      if (!this.metrics.some((each) => each.name === metric)) return this.fail(t("dash.no_metric", { name: metric }));
      if (labels === null) return this.fail(t("dash.no_labels", { name: metric }));
      figures.push({
        metric,
        labels,
        total: part<HTMLSelectElement>(row, "total").value as Figure["total"],
        shown: part<HTMLSelectElement>(row, "shown").value as Figure["shown"],
      });
    }
    const kind = this.kind.value as Kind;
    if (figures.length > most(kind)) return this.fail(t("dash.too_many", { count: String(most(kind)) }));
    this.dialog.close();
    this.done({ kind, title: this.title.value.trim(), range_s: Number(this.range.value), figures });
  }

  private fail(text: string): void {
    setText(this.failed, text);
    setHidden(this.failed, false);
  }
}
