/**
 * Estimates the server's clock from times that its messages carry. Pure; it must not know sockets or the local clock.
 *
 * A message was sent before it came, so the largest of (server time - local time on arrival) is the best guess. Replayed
 * messages are old and would set the clock back: what is more than `PLAUSIBLE_S` below the guess is not believed. An age
 * may so be told too large, never too small.
 */

export interface ServerClock {
  /** Server clock minus local clock, seconds. */
  readonly offset: number;
  /** The largest sample of the present span, and when the span began (local, seconds). */
  readonly best: number;
  readonly since: number;
}

const PLAUSIBLE_S = 2;
/** Local clocks are corrected slowly; a guess that is older than this may be lowered. */
const SPAN_S = 60;

/** `offset`: what is known at first, for example from the page itself. */
export function newClock(offset: number, localS: number): ServerClock {
  return { offset, best: Number.NEGATIVE_INFINITY, since: localS };
}

export function observe(clock: ServerClock, serverS: number, localS: number): ServerClock {
  const sample = serverS - localS;
  if (!Number.isFinite(sample) || sample < clock.offset - PLAUSIBLE_S) return clock;
  const best = Math.max(clock.best, sample);
  if (localS - clock.since >= SPAN_S) return { offset: best, best: Number.NEGATIVE_INFINITY, since: localS };
  if (sample <= clock.offset && best === clock.best) return clock;
  return { ...clock, offset: Math.max(clock.offset, sample), best };
}
