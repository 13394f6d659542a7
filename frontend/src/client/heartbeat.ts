/**
 * Whether the server is still there, judged by elapsed time. Pure.
 * A timer that comes late proves nothing: the machine slept, or the browser throttled a hidden page, and what the server
 * said meanwhile may still wait to be read. So silence after a late timer is asked about once more, never acted upon.
 * Source: contract.md section 5 (heartbeat every 25 s, 10 s without any sign of life).
 */
import type { HeartbeatTerms } from "./wire.ts";

const TERMS: HeartbeatTerms = { interval_ms: 25_000, timeout_ms: 10_000 };
/** A page that is this late was not running; a busy one is late by less. */
const LATE_MS = 2_000;

export class Heartbeat {
  private terms = TERMS;
  private seenMs = 0;
  private probedMs: number | null = null;

  /** A connection is up. */
  begin(terms: HeartbeatTerms | null, nowMs: number): void {
    this.terms = terms ?? TERMS;
    this.alive(nowMs);
  }

  /** Something came from the server. */
  alive(nowMs: number): void {
    this.seenMs = nowMs;
    this.probedMs = null;
  }

  /** When to look again. */
  dueMs(): number {
    if (this.probedMs !== null) return this.probedMs + this.terms.timeout_ms;
    return this.seenMs + this.terms.interval_ms + Math.floor(this.terms.timeout_ms / 2);
  }

  /** Judges; `probe` means that a ping must be sent now. */
  look(nowMs: number): "fine" | "probe" | "dead" {
    const dueMs = this.dueMs();
    if (nowMs < dueMs) return "fine";
    if (this.probedMs === null || nowMs - dueMs > LATE_MS) {
      this.probedMs = nowMs;
      return "probe";
    }
    return "dead";
  }
}
