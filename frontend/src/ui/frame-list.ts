/**
 * A list of frames, newest first: filter, pause, download, and a dialog on each. It must not know where frames come from.
 */
import {
  EMPTY_LOG,
  forgotten,
  type Frame,
  type FrameLine,
  held,
  NO_FILTER,
  passes,
  pause,
  shown,
  take,
  type TraceFilter,
  type TraceLog,
} from "../state/trace-log";
import { element, find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { FrameDialog } from "./frame-dialog";
import { bytes, clock, clockMs, count, exact, t, word } from "./text";

/** More rows than this nobody reads; the filter finds the others. */
const ROWS = 200;
/** Of a frame's text in a row. */
const PREVIEW_CHARS = 300;
/** Types that the field offers. */
const KINDS_MAX = 40;

export class FrameList {
  private readonly root: HTMLElement;
  private readonly dialog = new FrameDialog();
  private readonly rows = new Map<number, HTMLTableRowElement>();
  private readonly kinds = new Set<string>();
  private readonly changed: () => void;
  private log: TraceLog = EMPTY_LOG;
  private filter: TraceFilter = NO_FILTER;
  private dirty = true;

  /** `root` holds what trace_panel.html has of a list; `changed` asks for a drawing, `keep` for the file. */
  constructor(root: HTMLElement, changed: () => void, keep: () => void) {
    this.root = root;
    this.changed = changed;
    part(root, "trace-pause").addEventListener("click", () => this.togglePause());
    part(root, "trace-download").addEventListener("click", keep);
    part(root, "trace-filter").addEventListener("submit", (event) => event.preventDefault());
    part(root, "trace-filter").addEventListener("input", () => this.readFilter());
    part(root, "trace-rows").addEventListener("click", (event) => this.pressed(event.target));
  }

  get total(): number {
    return this.log.total;
  }

  get bytes(): number {
    return this.log.bytes;
  }

  /** Frames that are no longer kept. */
  get forgotten(): number {
    return forgotten(this.log);
  }

  clear(): void {
    this.log = EMPTY_LOG;
    this.kinds.clear();
    this.mark();
  }

  take(lines: readonly FrameLine[]): void {
    this.log = take(this.log, lines);
    for (const frame of lines.length === 0 ? [] : this.log.frames.slice(-lines.length)) {
      for (const kind of frame.kinds) if (this.kinds.size < KINDS_MAX) this.kinds.add(kind);
    }
    this.mark();
  }

  togglePause(): void {
    this.log = pause(this.log, Date.now() / 1000);
    this.mark();
  }

  draw(): void {
    if (!this.dirty) return;
    this.dirty = false;
    this.drawPause();
    this.drawRows();
  }

  private mark(): void {
    this.dirty = true;
    this.changed();
  }

  private readFilter(): void {
    const direction = find<HTMLSelectElement>(this.root, "#trace-direction").value as TraceFilter["direction"];
    const kind = find<HTMLInputElement>(this.root, "#trace-type").value.trim();
    const text = find<HTMLInputElement>(this.root, "#trace-text").value.trim();
    this.filter = { direction, kind, text };
    this.mark();
  }

  private drawRows(): void {
    const frames = shown(this.log, this.filter, ROWS);
    const wanted = new Set(frames.map((frame) => frame.number));
    for (const [number, row] of this.rows) {
      if (wanted.has(number)) continue;
      row.remove();
      this.rows.delete(number);
    }
    const body = part(this.root, "trace-rows");
    let after: Element | null = null;
    for (const frame of frames) {
      let row = this.rows.get(frame.number);
      if (row === undefined) {
        row = rowOf(frame);
        this.rows.set(frame.number, row);
      }
      const place: Element | null = after === null ? body.firstElementChild : after.nextElementSibling;
      if (place !== row) body.insertBefore(row, place);
      after = row;
    }
    setHidden(part(this.root, "trace-empty"), frames.length > 0);
    const empty = this.log.total === 0 ? "trace.empty" : "trace.empty.filter";
    setText(part(this.root, "trace-empty"), t(empty));
    setText(part(this.root, "trace-count"), this.counted(frames.length));
    part<HTMLButtonElement>(this.root, "trace-download").disabled = this.log.total === 0;
    const types = part(this.root, "trace-types");
    if (types.childElementCount !== this.kinds.size) {
      types.replaceChildren(...[...this.kinds].sort().map((kind) => element("option", { value: kind })));
    }
  }

  private counted(rows: number): string {
    if (this.log.total === 0) return "";
    const passing = this.log.frames.filter((frame) => passes(frame, this.filter)).length;
    return t("trace.count", { shown: count(rows), passing: count(passing), total: count(this.log.total) });
  }

  private drawPause(): void {
    const button = part<HTMLButtonElement>(this.root, "trace-pause");
    const { heldAt, pausedAt } = this.log;
    button.disabled = this.log.total === 0;
    setAttribute(button, "aria-pressed", String(heldAt !== null));
    setIcon(button, heldAt === null ? "pause-fill" : "play-fill");
    setText(part(button, "trace-pause-word"), t(heldAt === null ? "view.pause" : "view.resume"));
    const paused = t("view.paused", { time: clock(pausedAt), held: count(held(this.log)) });
    setText(part(this.root, "trace-held"), heldAt === null ? "" : paused);
  }

  private pressed(pressed: EventTarget | null): void {
    const row = pressed instanceof Element ? pressed.closest<HTMLElement>("tr[data-number]") : null;
    const number = Number(row?.dataset["number"] ?? 0);
    const index = this.log.frames.findIndex((frame) => frame.number === number);
    const frame = this.log.frames[index];
    if (frame !== undefined) void this.dialog.open(frame, this.log.frames[index - 1] ?? null);
  }

  /** Hands out what the filter lets pass as a file, between a first and a last line. */
  download(name: string, first: object | null, last: object | null): void {
    const frames = this.log.frames.filter((frame) => passes(frame, this.filter)).map((frame) => frame.line);
    const lines = [first, ...frames, last].filter((line) => line !== null);
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    const url = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
    const safe = name.replaceAll(/[^\w.-]+/g, "-");
    element("a", { href: url, download: `trace-${safe}.ndjson` }).click();
    URL.revokeObjectURL(url);
  }
}

function rowOf(frame: Frame): HTMLTableRowElement {
  const { line } = frame;
  const kinds = frame.kinds.join(", ");
  const label = t("trace.open", { kind: kinds, time: clockMs(line.at) });
  const open = element("button", { type: "button", class: "trace-open", "aria-label": label }, clockMs(line.at));
  return element(
    "tr",
    { "data-number": String(frame.number), "data-direction": line.direction, "data-testid": "frame" },
    element("th", { scope: "row", class: "trace-time", title: exact(line.at) }, open),
    element("td", { class: "trace-way" }, word("trace.way", line.direction)),
    element("td", { class: "trace-kind" }, kinds),
    element("td", { class: "trace-size num" }, bytes(line.bytes)),
    element("td", { class: "trace-who" }, line.connection_id),
    element("td", { class: "trace-text" }, line.text.slice(0, PREVIEW_CHARS)),
  );
}
