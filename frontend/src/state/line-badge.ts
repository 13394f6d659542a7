/**
 * How a line's status and exact state are shown: tone, icon and words. Pure.
 * A colour never stands alone: every tone comes with an icon and a word (pages.md, "Calm").
 */
import type { LineHealth } from "../socket/wire";

export type Tone = "ok" | "warn" | "error" | "idle";

export interface Badge {
  tone: Tone;
  icon: string;
  /** The contract's coarse word. */
  status: string;
  /** The exact state, or null where it says no more than the status. */
  state: string | null;
}

const BY_STATUS: Record<string, { tone: Tone; icon: string }> = {
  connected: { tone: "ok", icon: "check-circle-fill" },
  connecting: { tone: "warn", icon: "arrow-repeat" },
  disconnected: { tone: "error", icon: "x-circle-fill" },
  error: { tone: "error", icon: "exclamation-octagon-fill" },
  disabled: { tone: "idle", icon: "dash-circle" },
};

const BY_STATE: Record<string, { tone: Tone; icon: string }> = {
  degraded: { tone: "warn", icon: "exclamation-triangle-fill" },
  stale: { tone: "warn", icon: "hourglass-split" },
  market_closed: { tone: "idle", icon: "moon-stars" },
  greeting: { tone: "warn", icon: "arrow-repeat" },
  authenticating: { tone: "warn", icon: "arrow-repeat" },
  subscribing: { tone: "warn", icon: "arrow-repeat" },
  cooldown: { tone: "warn", icon: "hourglass-split" },
  open_circuit: { tone: "error", icon: "lightning-charge" },
  paused: { tone: "idle", icon: "pause-circle-fill" },
  failed: { tone: "error", icon: "exclamation-octagon-fill" },
};

/** States that only repeat the status. */
const PLAIN = new Set(["live", "connecting", "disconnected", "disabled"]);

export function badgeOf(line: LineHealth): Badge {
  const base = BY_STATUS[line.status] ?? { tone: "error" as const, icon: "question-circle" };
  const state = line.state === undefined || PLAIN.has(line.state) ? null : line.state;
  const exact = state === null ? base : (BY_STATE[state] ?? base);
  return { ...exact, status: line.status, state };
}

const SEVERITY: Record<Tone, number> = { ok: 0, idle: 1, warn: 2, error: 3 };

/** The page's health, for the favicon: the worst enabled line; idle if none is enabled or all rest. */
export function worst(lines: readonly LineHealth[]): Tone {
  const tones = lines.filter((line) => line.enabled).map((line) => badgeOf(line).tone);
  if (tones.length === 0) return "idle";
  return tones.reduce((a, b) => (SEVERITY[b] > SEVERITY[a] ? b : a));
}
