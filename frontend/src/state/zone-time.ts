/**
 * What a person types into a field for date and time, read in a time zone; and back. Pure; it must not know which zone
 * was chosen.
 */

const PATTERN = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?$/;

/** Unix seconds of "2026-03-01T12:30" in `zone`; null if that is no date. */
export function momentOf(typed: string, zone: string): number | null {
  const found = PATTERN.exec(typed);
  if (found === null) return null;
  const [year, month, day, hour, minute, second] = found.slice(1).map((part) => Number(part ?? "0")) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const asUtc = Date.UTC(year, month - 1, day, hour, minute, Number.isNaN(second) ? 0 : second) / 1000;
  // Twice, because the first guess may lie on the other side of a change of the clocks.
  const guess = asUtc - offsetAt(asUtc, zone);
  return asUtc - offsetAt(guess, zone);
}

const MOMENT_MAX = 253_402_300_799;

/** Unix seconds of what an address names a moment by, as the server reads it: such seconds, or ISO 8601 with a zone. */
export function namedMoment(text: string): number | null {
  const iso = /^\d{4}-\d\d-\d\dT.+(Z|[+-]\d\d:?\d\d)$/i.test(text);
  const moment = iso ? Date.parse(text) / 1000 : /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  return moment >= 0 && moment <= MOMENT_MAX ? moment : null;
}

/** "2026-03-01T12:30:00" of Unix seconds in `zone`. */
export function typedOf(moment: number, zone: string): string {
  return new Date((moment + offsetAt(moment, zone)) * 1000).toISOString().slice(0, 19);
}

/** Seconds that the clocks of `zone` are ahead of UTC at a moment. */
function offsetAt(moment: number, zone: string): number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const parts: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(moment * 1000)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - Math.floor(moment);
}
