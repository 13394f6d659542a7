/**
 * Words, numbers and times in the reader's language and zone. It must not know what they say.
 * The catalogues are those of the templates (src/tidewire/web/locales), so a word is translated once.
 */
import de from "../../../src/tidewire/web/locales/de.json";
import en from "../../../src/tidewire/web/locales/en.json";

export type Key = keyof typeof en;

const catalogues: Record<string, Record<string, string>> = { en, de };

export const language = typeof document === "undefined" ? "en" : document.documentElement.lang || "en";
const words: Record<string, string> = catalogues[language] ?? en;

/** The words for `key` with `{name}` filled in. */
export function t(key: Key, values: Record<string, string> = {}): string {
  const text = words[key] ?? en[key];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Words for a key that came over the wire (a state, a stage); the raw word if we have none. */
export function word(prefix: string, raw: string): string {
  return words[`${prefix}.${raw}`] ?? raw;
}

/** The server's text in the reader's language, if it is exactly the one that is catalogued under `key`. */
export function translated(key: string, said: string): string {
  return (en as Record<string, string>)[key] === said ? (words[key] ?? said) : said;
}

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const cents = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const finer = new Intl.NumberFormat(language, { minimumFractionDigits: 4, maximumFractionDigits: 4 });
const signed = new Intl.NumberFormat(language, {
  minimumFractionDigits: 3,
  maximumFractionDigits: 3,
  signDisplay: "exceptZero",
});

export const NONE = "–";

type Maybe = number | null | undefined;

function known(value: Maybe): value is number {
  return value !== null && value !== undefined && Number.isFinite(value);
}

export function count(value: Maybe): string {
  return known(value) ? whole.format(value) : NONE;
}

const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });

/** A whole number in a narrow place: from a hundred thousand on as 1.6M, so that nothing is cut off. */
export function volume(value: Maybe): string {
  return known(value) && Math.abs(value) >= 100_000 ? short.format(value) : count(value);
}

/** Rates and milliseconds: one decimal. */
export function decimal(value: Maybe): string {
  return known(value) ? tenth.format(value) : NONE;
}

/** Prices: cents, and four decimals below one unit of currency, as US venues quote them. */
export function price(value: Maybe): string {
  if (!known(value)) return NONE;
  return Math.abs(value) < 1 ? finer.format(value) : cents.format(value);
}

const signedCents = new Intl.NumberFormat(language, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
  signDisplay: "exceptZero",
});
const signedFiner = new Intl.NumberFormat(language, {
  minimumFractionDigits: 4,
  maximumFractionDigits: 4,
  signDisplay: "exceptZero",
});

/** The difference of two prices, signed, as exact as prices of that level are quoted. */
export function difference(value: Maybe, level: number): string {
  if (!known(value)) return NONE;
  return Math.abs(level) < 1 ? signedFiner.format(value) : signedCents.format(value);
}

export function percent(value: Maybe): string {
  return known(value) ? `${signed.format(value)} %` : NONE;
}

/** An amount of money that came as exact text, such as "1204.00". */
export function money(amount: string, currency: string): string {
  return new Intl.NumberFormat(language, { style: "currency", currency }).format(Number(amount));
}

/** Bytes per second and sizes, in powers of 1000. */
export function bytes(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value < 1000) return `${whole.format(value)} B`;
  if (value < 1_000_000) return `${tenth.format(value / 1000)} kB`;
  return `${tenth.format(value / 1_000_000)} MB`;
}

/** Milliseconds: one decimal below 100, seconds above 10,000. */
export function milliseconds(value: Maybe): string {
  if (!known(value)) return NONE;
  if (Math.abs(value) >= 10_000) return `${tenth.format(value / 1000)} s`;
  return `${Math.abs(value) < 100 ? tenth.format(value) : whole.format(value)} ms`;
}

/** A figure in a narrow place: one decimal below 100, none above, so that nothing is cut off. */
export function compact(value: Maybe): string {
  return known(value) && Math.abs(value) >= 100 ? whole.format(value) : decimal(value);
}

/** A figure as it is, with so many digits at most and no thousands, where it is one of many kinds. */
export function digits(value: number, most: number): string {
  return value.toLocaleString(language, { maximumSignificantDigits: most, useGrouping: false });
}

/** A span such as 42 s, 3 min 20 s, 5 h 12 min, 3 d 4 h. */
export function span(seconds: Maybe): string {
  if (!known(seconds)) return NONE;
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${whole.format(Math.floor(s / 86_400))} d ${Math.floor((s % 86_400) / 3600)} h`;
}

export function ago(seconds: Maybe): string {
  if (!known(seconds)) return NONE;
  return seconds < 1 ? t("time.now") : t("time.ago", { span: span(seconds) });
}

/** The same in a narrow place, to its first unit: 3 min ago. */
export function agoRoughly(seconds: Maybe): string {
  if (!known(seconds) || seconds < 1) return ago(seconds);
  return t("time.ago", { span: span(seconds).split(" ").slice(0, 2).join(" ") });
}

// ---- time zone ----

const ZONE_KEY = "tidewire.zone";

/** The chosen IANA zone; the browser's own if none was chosen. */
export function zone(): string {
  const chosen = localStorage.getItem(ZONE_KEY);
  if (chosen !== null && isZone(chosen)) return chosen;
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

let lastSecond = -1;
let lastClock = "";
let time = clockFormat();
let stamp = stampFormat();

/** Chooses a zone; null goes back to the browser's own. */
export function chooseZone(name: string | null): void {
  if (name === null) localStorage.removeItem(ZONE_KEY);
  else localStorage.setItem(ZONE_KEY, name);
  time = clockFormat();
  stamp = stampFormat();
  lastSecond = -1;
}

function clockFormat(): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZone: zoneOrUtc(),
  });
}

function stampFormat(): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long", timeZone: zoneOrUtc() });
}

function zoneOrUtc(): string {
  return typeof localStorage === "undefined" ? "UTC" : zone();
}

/** 12:03:11 in the chosen zone. */
export function clock(unixS: Maybe): string {
  return known(unixS) ? time.format(unixS * 1000) : NONE;
}

/** 12:03:11.123. Thousands of ticks share a second, and Intl is slow: the last second is remembered. */
export function clockMs(unixS: Maybe): string {
  if (!known(unixS)) return NONE;
  const ms = Math.floor(unixS * 1000);
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastClock = time.format(second * 1000);
  }
  return `${lastClock}.${String(ms % 1000).padStart(3, "0")}`;
}

/** Date, time and zone in full, for tooltips. */
export function exact(unixS: Maybe): string {
  return known(unixS) ? stamp.format(unixS * 1000) : NONE;
}
