/**
 * When a connection's token must be renewed. Pure; it must not know how tokens are made.
 * The server's `token_expires_at` counts only as a distance from the message's `timestamp`, so that a wrong wall clock
 * changes nothing.
 * Source: docs/protocol.md, `token_expiring` and `auth_refresh`.
 */

/** Earlier than the server's own warning (60 s), and twice as long as the timers of a hidden page may sleep. */
const LEAD_MS = 120_000;
/** After a fetch or a refresh that failed; the old token is good for a while yet. */
const RETRY_MS = 5_000;

export class TokenWatch {
  /** A new token is being fetched or has been sent and not yet been answered. */
  fetching = false;
  private refreshAtMs: number | null = null;

  /** The connection is gone. */
  reset(): void {
    this.fetching = false;
    this.refreshAtMs = null;
  }

  /** Notes when the present token ends; both times in Unix seconds of the server. */
  learn(expiresAt: number | null, timestamp: number, nowMs: number): void {
    this.fetching = false;
    if (expiresAt === null) {
      this.refreshAtMs = null;
      return;
    }
    const leftMs = Math.max(0, Math.trunc((expiresAt - timestamp) * 1000));
    // A short-lived token is renewed after three quarters of its life.
    this.refreshAtMs = nowMs + Math.max(RETRY_MS, leftMs - Math.min(LEAD_MS, Math.floor(leftMs / 4)));
  }

  /** The server warns that the token ends soon. */
  hurry(nowMs: number): void {
    this.refreshAtMs = nowMs;
  }

  /** Renewing did not work; try again soon. */
  fail(nowMs: number): void {
    this.fetching = false;
    this.refreshAtMs = nowMs + RETRY_MS;
  }

  /** When a new token must be fetched; null if not, or if that is under way. */
  dueMs(): number | null {
    return this.fetching ? null : this.refreshAtMs;
  }
}
