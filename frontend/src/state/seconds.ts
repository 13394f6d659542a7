/**
 * The figures of one connection second by second, as charts want them: rates are the rise between two seconds. Pure; it
 * must not know who keeps the figures or how they are drawn.
 */

/** As the server has it (src/tidewire/hub/closeup.py): at, in, out, bytes in, bytes out, queued, missed, round trip. */
export type Second = readonly [number, number, number, number, number, number, number, number | null];

export interface Seconds {
  readonly last: Second | null;
  readonly times: number[];
  readonly messagesIn: (number | null)[];
  readonly messagesOut: (number | null)[];
  readonly bytesIn: (number | null)[];
  readonly bytesOut: (number | null)[];
  readonly queued: (number | null)[];
}

/** A quarter of an hour, as the server keeps. */
export const SECONDS_MAX = 900;
/** A figure that came later than this is behind a hole, and the line is broken there. */
const HOLE_S = 3;

export function noSeconds(): Seconds {
  return { last: null, times: [], messagesIn: [], messagesOut: [], bytesIn: [], bytesOut: [], queued: [] };
}

/** Takes what is newer than what there is; changes `seconds` itself, but for `last`. */
export function takeSeconds(seconds: Seconds, fresh: readonly Second[]): Seconds {
  let { last } = seconds;
  for (const second of fresh) {
    if (last !== null && second[0] <= last[0]) continue;
    const took = last === null ? 0 : second[0] - last[0];
    const whole = last !== null && took <= HOLE_S;
    const rise = (place: 1 | 2 | 3 | 4): number | null =>
      whole && last !== null && second[place] >= last[place] ? (second[place] - last[place]) / took : null;
    seconds.times.push(second[0]);
    seconds.messagesIn.push(rise(1));
    seconds.messagesOut.push(rise(2));
    seconds.bytesIn.push(rise(3));
    seconds.bytesOut.push(rise(4));
    seconds.queued.push(second[5]);
    last = second;
  }
  const { times, messagesIn, messagesOut, bytesIn, bytesOut, queued } = seconds;
  for (const values of [times, messagesIn, messagesOut, bytesIn, bytesOut, queued]) {
    values.splice(0, Math.max(0, values.length - SECONDS_MAX));
  }
  return { ...seconds, last };
}
