/** A page's charts with one zoom and one cursor: each is made where the template has a place for it. */
import { Chart, type ChartLine, type ChartView } from "./chart";
import { element, part, setAttribute, setText } from "./dom";
import { t } from "./text";

/** As long as the servers remember. */
const RANGE_S = 900;

export class Charts {
  private readonly charts = new Map<string, Chart>();
  private readonly host: HTMLElement;
  private readonly view: ChartView;

  /** `zoomed` is called when the zoom has changed: draw all of them anew. */
  constructor(host: HTMLElement, zoomed: () => void) {
    this.host = host;
    this.view = {
      zoom: null,
      rangeS: RANGE_S,
      zoomed: (zoom) => {
        this.view.zoom = zoom;
        const out = part<HTMLButtonElement>(document, "zoom-out");
        out.disabled = zoom === null;
        zoomed();
      },
    };
    part(document, "zoom-out").addEventListener("click", () => this.view.zoomed(null));
  }

  /** Draws one chart, made at its first drawing; `title` is its heading. */
  draw(
    key: string,
    title: string,
    times: number[],
    lines: ChartLine[],
    format: (value: number | null) => string,
  ): void {
    const chart = this.charts.get(key) ?? this.make(key, title);
    chart.draw(times, lines, format, t("vitals.chart", { title }));
  }

  restyle(): void {
    for (const chart of this.charts.values()) chart.restyle();
  }

  private make(key: string, title: string): Chart {
    const readout = element("span", { class: "chart-read", "data-testid": `read-${key}` });
    const host = element("div", { class: "chart", role: "img", "data-testid": `chart-${key}` });
    const head = element("div", { class: "vitals-chart-head" }, element("h3", {}), readout);
    setText(head.firstElementChild ?? head, title);
    const figure = element("section", { class: "vitals-chart" }, head, host);
    setAttribute(figure, "aria-label", title);
    this.host.append(figure);
    const chart = new Chart(host, readout, this.view, "--tw-accent");
    this.charts.set(key, chart);
    return chart;
  }
}
