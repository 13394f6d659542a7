/**
 * A dashboard's widgets at their places, and arranging them by pointer or keys. It must not know what widgets show beyond
 * their view, or the server.
 */
import type { Metric, Widget } from "../socket/dashboards-api";
import type { Memory } from "../state/figures";
import { COLUMNS, moved, resized, rows, stepped, without } from "../state/grid";
import type { ChartView } from "./chart";
import { part, setAttribute, setHidden } from "./dom";
import { t } from "./text";
import { WidgetView } from "./widget";

export interface GridActions {
  /** The places are others now. */
  changed(widgets: readonly Widget[], said: string): void;
  edit(widget: Widget): void;
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class GridView {
  private readonly root: HTMLElement;
  private readonly actions: GridActions;
  private readonly view: ChartView;
  private readonly views = new Map<string, WidgetView>();
  private widgets: readonly Widget[] = [];
  private arranging = false;

  constructor(root: HTMLElement, view: ChartView, actions: GridActions) {
    this.root = root;
    this.view = view;
    this.actions = actions;
  }

  restyle(): void {
    for (const view of this.views.values()) view.restyle();
  }

  draw(
    widgets: readonly Widget[],
    arranging: boolean,
    memory: Memory,
    metrics: ReadonlyMap<string, Metric>,
    now: number,
  ): void {
    this.widgets = widgets;
    this.arranging = arranging;
    setAttribute(this.root, "data-arranging", arranging ? "" : null);
    this.root.style.setProperty("--rows", String(rows(widgets)));
    const wanted = new Set(widgets.map((widget) => widget.id));
    for (const [id, view] of this.views) {
      if (wanted.has(id)) continue;
      view.destroy();
      this.views.delete(id);
    }
    for (const widget of widgets) {
      const view = this.views.get(widget.id) ?? this.make(widget.id);
      const { style } = view.root;
      style.setProperty("--x", String(widget.x + 1));
      style.setProperty("--y", String(widget.y + 1));
      style.setProperty("--w", String(widget.w));
      style.setProperty("--h", String(widget.h));
      setHidden(part(view.root, "arrange"), !arranging);
      view.draw(widget, memory, metrics, now);
    }
  }

  private make(id: string): WidgetView {
    const view = new WidgetView(this.view);
    this.views.set(id, view);
    view.root.dataset["widget"] = id;
    const own = (): Widget | undefined => this.widgets.find((widget) => widget.id === id);
    part(view.root, "move").addEventListener("keydown", (event) => this.onKey(event, id));
    part(view.root, "edit").addEventListener("click", () => {
      const widget = own();
      if (widget !== undefined) this.actions.edit(widget);
    });
    part(view.root, "remove").addEventListener("click", () =>
      this.actions.changed(without(this.widgets, id), t("dash.removed")),
    );
    part(view.root, "move").addEventListener("pointerdown", (event) => this.drag(event, id, false));
    part(view.root, "size").addEventListener("pointerdown", (event) => this.drag(event, id, true));
    this.root.append(view.root);
    return view;
  }

  private onKey(event: KeyboardEvent, id: string): void {
    const step = STEPS[event.key];
    const widget = this.widgets.find((each) => each.id === id);
    if (step === undefined || widget === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [dx, dy] = step;
    const next = event.shiftKey
      ? resized(this.widgets, id, widget.w + dx, widget.h + dy)
      : stepped(this.widgets, id, dx, dy);
    this.tell(next, id);
  }

  /** Follows the pointer from cell to cell until it is let go; Escape puts everything back. */
  private drag(down: PointerEvent, id: string, size: boolean): void {
    const before = this.widgets;
    const start = before.find((widget) => widget.id === id);
    if (!this.arranging || start === undefined || down.button !== 0) return;
    down.preventDefault();
    const handle = down.currentTarget as HTMLElement;
    handle.focus();
    handle.setPointerCapture(down.pointerId);
    const cellWidth = this.root.clientWidth / COLUMNS;
    const cellHeight = Number.parseFloat(getComputedStyle(this.root).getPropertyValue("--cell")) || 1;
    const move = (event: PointerEvent): void => {
      const dx = Math.round((event.clientX - down.clientX) / cellWidth);
      const dy = Math.round((event.clientY - down.clientY) / cellHeight);
      const next = size
        ? resized(before, id, start.w + dx, start.h + dy)
        : moved(before, id, start.x + dx, start.y + dy);
      if (JSON.stringify(next) !== JSON.stringify(this.widgets)) this.actions.changed(next, "");
    };
    const end = (): void => {
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", up);
      handle.removeEventListener("pointercancel", back);
      document.removeEventListener("keydown", escape, true);
    };
    const up = (): void => {
      end();
      this.tell(this.widgets, id);
    };
    const back = (): void => {
      end();
      this.actions.changed(before, "");
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      back();
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", up);
    handle.addEventListener("pointercancel", back);
    document.addEventListener("keydown", escape, true);
  }

  private tell(widgets: readonly Widget[], id: string): void {
    const widget = widgets.find((each) => each.id === id);
    if (widget === undefined) return;
    const place = { x: String(widget.x + 1), y: String(widget.y + 1), w: String(widget.w), h: String(widget.h) };
    this.actions.changed(widgets, t("dash.placed", place));
  }
}
