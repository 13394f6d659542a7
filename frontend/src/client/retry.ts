/**
 * When to connect again: by close code, the server's hint, and full jitter. Pure; chance and time are arguments.
 * It must not know sockets.
 * Source: contract.md section 5, "Close codes" and "full jitter 0.5-20 s, counter reset only after a stable minute".
 */
import type { Connection, ReconnectTerms } from "./wire.ts";

export type Reconnect = "at_once" | "backoff" | "new_token" | "never";

const WORDS: readonly string[] = ["at_once", "backoff", "new_token", "never"];
// Standard codes that mean a restart or somebody else's fault, worth another attempt.
const RETRY_STANDARD: readonly number[] = [1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015];
/** HTTP answers to the handshake that another attempt may turn into a connection (browsers do not tell them). */
const RETRY_STATUS: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

export const TERMS: ReconnectTerms = { min_delay_ms: 500, max_delay_ms: 20_000, stable_after_ms: 60_000 };

/** Counts failures and says how long to wait. */
export class Retry {
  /** The server's own, once it has told them. */
  terms: ReconnectTerms = TERMS;
  private failures = 0;
  private readyAtMs: number | null = null;

  /** The connection is up. */
  ready(nowMs: number): void {
    this.readyAtMs = nowMs;
  }

  /** The connection is gone; failures are forgotten only if it had been stable. */
  lost(nowMs: number): void {
    if (this.readyAtMs !== null && nowMs - this.readyAtMs >= this.terms.stable_after_ms) this.failures = 0;
    this.readyAtMs = null;
  }

  /** Counts a failure and returns the wait before the next attempt. A positive hint of the server wins; `draw` is in [0, 1). */
  delayMs(action: Reconnect, hintMs: number | null, draw: number): number {
    const failures = this.failures++;
    if (hintMs !== null && hintMs > 0) return hintMs;
    // "At once" holds for the first time only: a node that keeps closing must not be stormed.
    if (action === "at_once" && failures === 0) return 0;
    const low = this.terms.min_delay_ms;
    // 2^16 is far above any cap; the bound keeps the number small after days.
    const high = Math.min(this.terms.max_delay_ms, low * 2 ** Math.min(failures + 1, 16));
    return Math.floor(low + draw * (high - low));
  }
}

/** What a close means; `word` is from the server's `closing` message and wins if it is known. */
export function judge(code: number, word: string | null): Reconnect {
  if (word !== null && WORDS.includes(word)) return word as Reconnect;
  if (code >= 4000 && code <= 4099) return "at_once";
  if (code >= 4200 && code <= 4299) return "new_token";
  // 4300-4499 are not in the contract; an unknown code without a promise must not cause a storm.
  if ((code >= 4100 && code <= 4499) || RETRY_STANDARD.includes(code)) return "backoff";
  return "never";
}

/** How a connection ended; `hint` in milliseconds. */
export interface End {
  readonly code: number;
  readonly reason: string | null;
  readonly word: string | null;
  readonly hint: number | null;
}

/** The message before the close frame says more than the frame, and arrives also where that gets lost. */
export function endOf(closing: Connection | null, code: number, reason: string | null): End {
  if (closing === null || typeof closing.code !== "number") return { code, reason, word: null, hint: null };
  const { reconnect_after_ms: hint = null, reconnect: word = null } = closing;
  return { code: closing.code, reason: closing.reason ?? null, word, hint };
}

/** What an HTTP answer instead of the upgrade means. */
export function judgeStatus(status: number): Reconnect {
  return RETRY_STATUS.includes(status) ? "backoff" : "never";
}
