/**
 * A rule as a form has it, and back: every field as text, so that what somebody typed is never lost. Pure; what is wrong
 * with a rule the server says. Fields are those of docs/alerts.md.
 */
/** By the field's name, such as `threshold` or `figure.metric`; a box that is ticked says `true`, else nothing. */
export type Texts = Readonly<Record<string, string>>;

export interface Draft {
  readonly texts: Texts;
  /** The labels by which there is one alert each. */
  readonly by: readonly string[];
}

export type Document = { readonly [name: string]: unknown };

const WORDS = ["name", "combine", "compare", "severity", "hours", "no_data", "advice"] as const;
const NUMBERS = ["least", "threshold", "clear", "for_s", "clear_for_s"] as const;
/** What a figure has beside its metric. */
const FIGURE = { read: "value", window_s: 60, absent: "no_data" };

/** What a new rule begins with. */
export const NEW: Draft = draftOf({
  name: "",
  figure: { metric: "tidewire_hub_connections", where: {}, ...FIGURE },
  over: null,
  least: 0,
  by: [],
  combine: "any",
  compare: ">",
  threshold: null,
  clear: null,
  for_s: 60,
  clear_for_s: 0,
  severity: "medium",
  hours: "always",
  unless: null,
  no_data: "show",
  enabled: true,
  advice: "",
});

export function draftOf(rule: object): Draft {
  const given = rule as Document;
  const texts: Record<string, string> = {};
  for (const name of [...WORDS, ...NUMBERS, "unless"]) texts[name] = textOf(given[name]);
  texts["enabled"] = given["enabled"] === false ? "" : "true";
  texts["divided"] = given["over"] == null ? "" : "true";
  for (const part of ["figure", "over"]) {
    const figure = { metric: "", where: {}, ...FIGURE, ...((given[part] ?? {}) as Document) };
    for (const name of ["metric", "read", "window_s", "absent"] as const)
      texts[`${part}.${name}`] = textOf(figure[name]);
    texts[`${part}.where`] = Object.entries(figure.where)
      .map(([label, value]) => `${label}=${String(value)}`)
      .join("\n");
  }
  return { texts, by: Array.isArray(given["by"]) ? given["by"].map(String) : [] };
}

/** The rule as it is sent. A number that is not there is null, for the server to say whether it must be. */
export function documentOf({ texts, by }: Draft): Document {
  const rule: Record<string, unknown> = {};
  for (const name of WORDS) rule[name] = texts[name] ?? "";
  for (const name of NUMBERS) rule[name] = numberOf(texts[name]);
  return {
    ...rule,
    figure: figureOf(texts, "figure"),
    over: texts["divided"] === "true" ? figureOf(texts, "over") : null,
    by,
    unless: texts["unless"]?.trim() || null,
    enabled: texts["enabled"] === "true",
  };
}

/** Which field a refusal is about, where the server names only a place in the document; null: the whole. */
export function placeIn(message: string): string | null {
  return /at `\$\.([a-z_.]+)/.exec(message)?.[1] ?? null;
}

/** Whether that is refused because nothing was filled in. */
export function isMissing(message: string): boolean {
  return message.includes("got `null`");
}

function figureOf(texts: Texts, part: string): Document {
  const text = (name: string): string => texts[`${part}.${name}`] ?? "";
  return {
    metric: text("metric").trim(),
    where: whereOf(text("where")),
    read: text("read"),
    window_s: text("read") === "rate" ? numberOf(text("window_s")) : (numberOf(text("window_s")) ?? FIGURE.window_s),
    absent: text("absent"),
  };
}

/** A line each, `label=value`, blanks around both left out; a line without a value asks for an empty one. */
function whereOf(text: string): Document {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

function numberOf(text = ""): number | null {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(number) ? number : null;
}
