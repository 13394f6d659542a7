/**
 * Which alerts a strip is shown for: those that opened since somebody began to look, until they are over or dismissed, and
 * what has become of the judging meanwhile. Pure; it must not know how they are drawn or asked for.
 */
import type { AlertRow, AlertsAnswer } from "../socket/alerts-api";

/** What outlives a page: a strip that was dismissed stays so, one that was not comes along. */
export interface Kept {
  /** The server's time of the first answer; null before it. */
  readonly since: number | null;
  readonly dismissed: readonly string[];
}

export interface Firing {
  readonly kept: Kept;
  readonly alerts: readonly AlertRow[];
  /** Held back as part of a storm since this page began, and how many are open in all. */
  readonly heldBack: number;
  readonly open: number;
  /** Since when nobody judges, Unix seconds; null if somebody does, or nobody did when the page began. */
  readonly unwatchedSince: number | null;
  /** As the page found it. */
  readonly heldBefore: number | null;
  readonly wasWatched: boolean;
}

/** Dismissed ones beyond this are forgotten, oldest first; an alert that is over is not asked for anyway. */
const DISMISSED_MAX = 200;

export function newFiring(kept: Kept): Firing {
  return { kept, alerts: [], heldBack: 0, open: 0, unwatchedSince: null, heldBefore: null, wasWatched: false };
}

/** `answer`: what is open now. */
export function takeOpen(firing: Firing, { alerts, at, judging }: AlertsAnswer): Firing {
  const since = firing.kept.since ?? at;
  const shown = alerts.filter((one) => one.opened_at > since && !firing.kept.dismissed.includes(one.id));
  const heldBefore = firing.heldBefore ?? judging.held_back;
  return {
    kept: { ...firing.kept, since },
    // The newest last, as they came.
    alerts: [...shown].sort((a, b) => a.opened_at - b.opened_at),
    heldBack: Math.max(0, judging.held_back - heldBefore),
    open: judging.open ?? alerts.length,
    unwatchedSince: firing.wasWatched && judging.mode === "nobody" ? judging.heard_at : null,
    heldBefore,
    wasWatched: firing.wasWatched || judging.mode === "leading" || judging.mode === "alone",
  };
}

export function dismiss(firing: Firing, id: string): Firing {
  const dismissed = [...firing.kept.dismissed, id].slice(-DISMISSED_MAX);
  return { ...firing, kept: { ...firing.kept, dismissed }, alerts: firing.alerts.filter((one) => one.id !== id) };
}

/** Reads what an earlier page of this tab has kept; anything else is as if there was none. */
export function readKept(text: string | null): Kept {
  try {
    const found: unknown = JSON.parse(text ?? "");
    if (typeof found === "object" && found !== null && "since" in found && "dismissed" in found) {
      const { since, dismissed } = found;
      if (typeof since === "number" && Array.isArray(dismissed))
        return { since, dismissed: dismissed.filter((one) => typeof one === "string") };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { since: null, dismissed: [] };
}
