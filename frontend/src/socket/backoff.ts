/**
 * Full-jitter reconnect delays as contract.md section 5 asks of clients: 0.5 to 20 s, and the counter starts
 * again only after a stable minute. Pure: chance and time come in as arguments.
 */

export const FIRST_DELAY_MS = 500;
export const LAST_DELAY_MS = 20_000;
/** A line that breaks sooner than this was never well; its next delay keeps growing. */
export const STABLE_MS = 60_000;

export interface Backoff {
  attempt: number;
  connectedAt: number | null;
}

export const FRESH: Backoff = { attempt: 0, connectedAt: null };

/** The connection is up at `nowMs`; the counter is kept until it proves stable. */
export function connected(backoff: Backoff, nowMs: number): Backoff {
  return { ...backoff, connectedAt: nowMs };
}

/** The connection is lost or was refused at `nowMs`: returns the delay to wait and the next state. `chance` is in [0, 1). */
export function lost(backoff: Backoff, nowMs: number, chance: number): { delayMs: number; backoff: Backoff } {
  const stable = backoff.connectedAt !== null && nowMs - backoff.connectedAt >= STABLE_MS;
  const attempt = stable ? 0 : backoff.attempt;
  // 2^16 is far above the ceiling; without a bound the power itself would overflow after days.
  const ceiling = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt + 1, 16));
  const delayMs = FIRST_DELAY_MS + chance * (ceiling - FIRST_DELAY_MS);
  return { delayMs, backoff: { attempt: attempt + 1, connectedAt: null } };
}
