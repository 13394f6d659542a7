/**
 * One small time chart over uPlot. Zoom and cursor belong to the page, so all charts of it move together; new data
 * never touches them (dashboard.md M18). It must not know which figure it draws.
 */
import uPlot from "uplot";
import { setAttribute, setText } from "./dom";
import { clock, zone, language } from "./text";

/** Zoom and range of all charts of a page. */
export interface ChartView {
  zoom: { min: number; max: number } | null;
  rangeS: number;
  zoomed(zoom: { min: number; max: number } | null): void;
}

export interface ChartLine {
  label: string;
  values: (number | null)[];
  /** Whether single values are seen that have no neighbour to draw a line to. */
  dotted?: boolean;
}

const HEIGHT = 64;
/** Shorter than this a drag was a click. */
const DRAG_MIN_PX = 6;
/** The least span shown, so that a feed of a few seconds does not look like hours. */
const LEAST_S = 60;

export class Chart {
  private plot: uPlot | null = null;
  private lines: ChartLine[] = [];
  private format: (value: number | null) => string = String;
  private readonly observer: ResizeObserver;
  private readonly host: HTMLElement;
  private readonly readout: HTMLElement;
  private readonly view: ChartView;
  private readonly colours: readonly string[];

  /** `colours`: the custom property of each line's colour; lines beyond them are drawn in the ink of the axes. */
  constructor(host: HTMLElement, readout: HTMLElement, view: ChartView, ...colours: string[]) {
    this.host = host;
    this.readout = readout;
    this.view = view;
    this.colours = colours;
    this.observer = new ResizeObserver(() =>
      this.plot?.setSize({ width: Math.max(80, host.clientWidth), height: heightOf(host) }),
    );
    this.observer.observe(host);
    host.addEventListener("dblclick", () => view.zoomed(null));
  }

  /** Draws anew with other colours or another zone. */
  restyle(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  destroy(): void {
    this.observer.disconnect();
    this.restyle();
  }

  draw(times: number[], lines: ChartLine[], format: (value: number | null) => string, label: string): void {
    this.format = format;
    const sameLines =
      lines.length === this.lines.length && lines.every((line, i) => line.label === this.lines[i]?.label);
    this.lines = lines;
    if (!sameLines) this.restyle();
    const data = [times, ...lines.map((line) => line.values)] as uPlot.AlignedData;
    this.plot ??= this.make(data);
    this.plot.batch(() => {
      this.plot?.setData(data, false);
      this.plot?.setScale("x", this.xRange(times));
    });
    setAttribute(this.host, "aria-label", label);
    this.read();
  }

  private xRange(times: number[]): { min: number; max: number } {
    if (this.view.zoom !== null) return this.view.zoom;
    const max = times.at(-1) ?? Date.now() / 1000;
    const first = times[0] ?? max;
    return { min: Math.min(max - LEAST_S, Math.max(first, max - this.view.rangeS)), max };
  }

  private make(data: uPlot.AlignedData): uPlot {
    const css = getComputedStyle(this.host);
    const ink = css.getPropertyValue("--tw-chart-ink").trim();
    const grid = css.getPropertyValue("--tw-chart-grid").trim();
    const colours = this.colours.map((name) => css.getPropertyValue(name).trim());
    const axis = {
      stroke: ink,
      font: "11px system-ui, sans-serif",
      ticks: { show: false },
      grid: { stroke: grid, width: 1 },
    };
    return new uPlot(
      {
        width: Math.max(80, this.host.clientWidth),
        height: heightOf(this.host),
        legend: { show: false },
        padding: [6, 14, 0, 0],
        tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), zone()),
        cursor: {
          y: false,
          sync: { key: "tidewire", scales: ["x", null] },
          drag: { x: true, y: false, setScale: false, dist: DRAG_MIN_PX },
          points: { size: 6 },
        },
        scales: { x: { time: true }, y: { range: (_, low, high) => yRange(low, high) } },
        axes: [
          { ...axis, size: 20, space: 70, gap: 2, grid: { show: false }, values: timeLabels },
          { ...axis, size: 46, space: 22, gap: 4, values: (_, splits) => splits.map((value) => shortNumber(value)) },
        ],
        series: [
          {},
          ...this.lines.map((line, i) => ({
            label: line.label,
            stroke: colours[i] ?? ink,
            width: i < colours.length ? 1.5 : 1,
            ...(this.lines.length === 1 ? { fill: `${colours[0] ?? ink}22` } : {}),
            points: { show: line.dotted === true, size: 4 },
            spanGaps: false,
          })),
        ],
        hooks: { setCursor: [() => this.read()], setSelect: [(plot) => this.onSelect(plot)] },
      },
      data,
      this.host,
    );
  }

  private onSelect(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < DRAG_MIN_PX) return;
    const zoom = { min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") };
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    // A synced chart gets the same selection; the first one to report it wins.
    if (zoom.max - zoom.min >= 2) this.view.zoomed(zoom);
  }

  /** The figure under the cursor, or the newest. */
  private read(): void {
    const plot = this.plot;
    if (plot === null) return;
    const at = plot.cursor.idx ?? null;
    const times = plot.data[0];
    const i = at ?? times.length - 1;
    const values = this.lines.map((line) => this.format(line.values[i] ?? null)).join(" / ");
    setText(this.readout, at === null ? values : `${clock(times[i] ?? null)}  ${values}`);
  }
}

/** A host that gives its chart a height (`data-tall`) is filled. */
function heightOf(host: HTMLElement): number {
  return host.dataset["tall"] === undefined ? HEIGHT : Math.max(HEIGHT, host.clientHeight);
}

/** From 0 (or below) to a little above the highest, never flat. */
function yRange(low: number | null, high: number | null): [number, number] {
  const top = high === null || !Number.isFinite(high) ? 1 : high;
  const bottom = low === null || !Number.isFinite(low) ? 0 : Math.min(0, low);
  return [bottom, top <= bottom ? bottom + 1 : top + (top - bottom) * 0.1];
}

/** 12:03, or 12:03:20 where labels are less than a minute apart; none where it would be cut or meet the other axis. */
function timeLabels(plot: uPlot, splits: readonly number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  const withSeconds = step < 60 && splits.length > 1;
  const room = withSeconds ? 28 : 18;
  // The element has this width only after the axes are measured, of which this is a part.
  const width = plot.bbox.width / uPlot.pxRatio;
  return splits.map((at) => {
    const x = plot.valToPos(at, "x");
    if (x < room || x > width - room) return "";
    return withSeconds ? clock(at) : clock(at).slice(0, 5);
  });
}

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1_000_000) return `${trim(value / 1_000_000)}M`;
  if (size >= 1000) return `${trim(value / 1000)}k`;
  return trim(value);
}

const hundredths = new Intl.NumberFormat(language, { maximumFractionDigits: 2, useGrouping: false });

function trim(value: number): string {
  return hundredths.format(value);
}
