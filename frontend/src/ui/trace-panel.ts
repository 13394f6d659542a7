/**
 * A live trace on the screen: start and stop, a list of frames newest first, filter, pause, download, and who else traces
 * what. It must not know which page it is on.
 */
import type { Problem } from "../socket/admin-api";
import { type Began, type Ended, type Line, type RunningTrace, trace, type Traced } from "../socket/trace-stream";
import type { FrameLine } from "../state/trace-log";
import { element, find, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { FrameList } from "./frame-list";
import { problemWords } from "./problem-words";
import { bytes, clock, count, span, t, word } from "./text";

export class TracePanel {
  private readonly root = part(document, "trace");
  private readonly list = new FrameList(
    this.root,
    () => this.changed(),
    () => this.list.download(this.began?.name ?? "trace", this.began, this.ended),
  );
  private readonly target: () => Traced | null;
  private readonly changed: () => void;
  private began: Began | null = null;
  private ended: Ended | null = null;
  private problem: Problem | null = null;
  private stop: AbortController | null = null;

  /** `target` says what is to be traced, null if nothing is named; `changed` asks for a drawing. */
  constructor(target: () => Traced | null, changed: () => void) {
    this.target = target;
    this.changed = changed;
    part(this.root, "trace-start").addEventListener("click", () => this.toggle());
    window.addEventListener("pagehide", () => this.stop?.abort());
  }

  /** Begins with the target of now, or ends what runs. */
  toggle(): void {
    if (this.stop !== null) {
      this.stop.abort();
      return;
    }
    const target = this.target();
    if (target !== null) void this.run(target);
  }

  togglePause(): void {
    this.list.togglePause();
  }

  /** Draws what has changed; `traces` are those under way on all nodes. */
  draw(now: number, traces: readonly RunningTrace[]): void {
    const running = this.stop !== null;
    setAttribute(
      this.root,
      "data-state",
      running ? "running" : this.list.total > 0 || this.ended !== null ? "ended" : "idle",
    );
    setIcon(part(this.root, "trace-start"), running ? "stop-circle" : "play-fill");
    setText(part(this.root, "trace-start-word"), t(running ? "trace.stop" : "trace.start"));
    part<HTMLButtonElement>(this.root, "trace-start").disabled = !running && this.target() === null;
    setText(part(this.root, "trace-said"), this.said(now));
    setText(part(this.root, "trace-error"), this.problem === null ? "" : problemWords(this.problem, t("trace.broken")));
    setHidden(part(this.root, "trace-error"), this.problem === null);
    this.drawRunning(traces, now);
    this.list.draw();
  }

  // ---- the trace ----

  private async run(target: Traced): Promise<void> {
    const stop = new AbortController();
    this.stop = stop;
    [this.began, this.ended, this.problem] = [null, null, null];
    this.list.clear();
    const seconds = Number(find<HTMLSelectElement>(this.root, "#trace-seconds").value);
    this.problem = await trace(target, seconds, stop.signal, (lines) => this.take(lines));
    if (this.ended === null && this.problem === null && this.began !== null) {
      this.ended = {
        type: "trace_ended",
        at: Date.now() / 1000,
        reason: "left",
        frames: this.list.total,
        bytes: 0,
        dropped: 0,
      };
    }
    this.stop = null;
    this.changed();
  }

  private take(lines: readonly Line[]): void {
    const frames: FrameLine[] = [];
    for (const line of lines) {
      if (line.type === "trace_started") this.began = line;
      else if (line.type === "trace_ended") this.ended = line;
      else if (line.type === "frame") frames.push(line);
    }
    this.list.take(frames);
  }

  private said(now: number): string {
    const { began, ended, list } = this;
    if (this.stop !== null && began === null) return t("trace.opening");
    if (began === null) return t("trace.idle");
    const figures = { frames: count(list.total), bytes: bytes(list.bytes), what: this.what(began), node: began.node };
    const lost = [
      list.forgotten > 0 ? t("trace.forgotten", { count: count(list.forgotten) }) : "",
      ended !== null && ended.dropped > 0 ? t("trace.dropped", { count: count(ended.dropped) }) : "",
    ];
    const left = span(Math.max(0, began.at + began.seconds - now));
    const head =
      ended === null
        ? t("trace.running_now", { ...figures, left })
        : t("trace.over", { ...figures, reason: word("trace.reason", ended.reason) });
    return [head, ...lost].filter((one) => one !== "").join(" ");
  }

  private what(began: Began): string {
    const name = began.kind === "connection" ? (began.username ?? began.name) : began.name;
    const figures = { name, count: count(began.connections) };
    if (began.kind === "user") return t("trace.what.user", figures);
    return began.kind === "room" ? t("trace.what.room", figures) : name;
  }

  private drawRunning(traces: readonly RunningTrace[], now: number): void {
    setHidden(part(this.root, "trace-running"), traces.length === 0);
    const list = part(this.root, "trace-running-list");
    const lines = traces.map((one) =>
      t("trace.running.line", {
        by: one.by,
        what: `${word("trace.kind", one.kind)} ${one.name}`,
        since: clock(one.since),
        left: span(Math.max(0, one.until - now)),
      }),
    );
    while (list.childElementCount > lines.length) list.lastElementChild?.remove();
    for (const [i, line] of lines.entries()) {
      const item = list.children[i] ?? list.appendChild(element("li"));
      setText(item, line);
    }
  }
}
