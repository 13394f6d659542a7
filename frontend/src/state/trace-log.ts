/**
 * The frames of a live trace: bounded, filtered, and held still while somebody reads. Pure; it must not know where frames
 * come from or how they are drawn.
 */

export type Direction = "in" | "out" | "control";

/** A line of the trace, as the server wrote it (src/tidewire/hub/trace_line.py). */
export interface FrameLine {
  readonly type: "frame";
  readonly at: number;
  readonly direction: Direction;
  readonly bytes: number;
  readonly text: string;
  readonly cut: boolean;
  readonly redacted: boolean;
  readonly connection_id: string;
}

export interface Frame {
  /** Its place in the trace, from 1 on. */
  readonly number: number;
  readonly line: FrameLine;
  /** The types of its messages; of a control frame what it is. */
  readonly kinds: readonly string[];
}

export interface TraceFilter {
  readonly direction: Direction | "";
  readonly kind: string;
  readonly text: string;
}

export const NO_FILTER: TraceFilter = { direction: "", kind: "", text: "" };

/** More is in the download of a file; a page need not hold minutes of a busy room. */
export const FRAMES_MAX = 5_000;

export interface TraceLog {
  /** Oldest first. */
  readonly frames: readonly Frame[];
  /** How many came in all. */
  readonly total: number;
  readonly bytes: number;
  /** The newest number that is shown while the view is paused; null while it is live. */
  readonly heldAt: number | null;
  /** Since when the view is paused, Unix seconds. */
  readonly pausedAt: number | null;
}

export const EMPTY_LOG: TraceLog = { frames: [], total: 0, bytes: 0, heldAt: null, pausedAt: null };

export function take(log: TraceLog, lines: readonly FrameLine[]): TraceLog {
  if (lines.length === 0) return log;
  const fresh = lines.map((line, i): Frame => ({ number: log.total + i + 1, line, kinds: kindsOf(line) }));
  const bytes = lines.reduce((sum, line) => sum + line.bytes, log.bytes);
  const frames = [...log.frames, ...fresh].slice(-FRAMES_MAX);
  return { ...log, frames, total: log.total + lines.length, bytes };
}

/** Frames that are no longer kept. */
export function forgotten(log: TraceLog): number {
  return log.total - log.frames.length;
}

/** How many have come since the view was paused. */
export function held(log: TraceLog): number {
  return log.heldAt === null ? 0 : log.total - log.heldAt;
}

export function pause(log: TraceLog, now: number): TraceLog {
  return log.heldAt === null ? { ...log, heldAt: log.total, pausedAt: now } : { ...log, heldAt: null, pausedAt: null };
}

/** The frames that pass, newest first, at most `limit`; what came during a pause is left out. */
export function shown(log: TraceLog, filter: TraceFilter, limit: number): Frame[] {
  const found: Frame[] = [];
  const last = log.heldAt ?? Number.POSITIVE_INFINITY;
  for (let i = log.frames.length - 1; i >= 0 && found.length < limit; i -= 1) {
    const frame = log.frames[i];
    if (frame !== undefined && frame.number <= last && passes(frame, filter)) found.push(frame);
  }
  return found;
}

export function passes(frame: Frame, filter: TraceFilter): boolean {
  const { direction, kind, text } = filter;
  if (direction !== "" && frame.line.direction !== direction) return false;
  if (kind !== "" && !frame.kinds.includes(kind)) return false;
  return text === "" || frame.line.text.toLowerCase().includes(text.toLowerCase());
}

const TYPE = /^\s*\{\s*(?:"sequence"\s*:\s*\d+\s*,\s*)?"type"\s*:\s*"([\w.-]{1,64})"/;

/** The types of a frame's messages, each once; `?` for what has none in its place. */
function kindsOf(line: FrameLine): readonly string[] {
  if (line.direction === "control") return [line.text.split(" ", 1)[0] ?? "?"];
  const [head = "", ...rest] = line.text.split("\n");
  const parts = rest.length > 0 && /^\d+$/.test(head) ? rest : [line.text];
  return [...new Set(parts.map((part) => TYPE.exec(part)?.[1] ?? typeOf(part)))];
}

/** A client may put the type anywhere. */
function typeOf(text: string): string {
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found === "object" && found !== null && "type" in found && typeof found.type === "string") {
      return found.type;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return "?";
}
