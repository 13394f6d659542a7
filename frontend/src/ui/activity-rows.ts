/** The rows of the activity log as a table: each made once, put where it belongs, never moved. */
import type { ActivityRow } from "../state/activity-list";
import { element, setText } from "./dom";
import { clock, exact, NONE, t } from "./text";

/** A line of details in the table; all of them are under the row's "more". */
const SHORT_CHARS = 90;

export class ActivityRows {
  private readonly made = new Map<number, HTMLTableRowElement>();
  private readonly body: HTMLElement;
  private readonly heads: ReadonlyMap<string, string>;
  private first = true;

  constructor(table: HTMLElement, body: HTMLElement) {
    this.body = body;
    const heads = [...table.querySelectorAll<HTMLElement>("thead th")];
    this.heads = new Map(heads.map((head) => [head.dataset["column"] ?? "", head.dataset["label"] ?? ""]));
  }

  /** Shows these rows, in this order. */
  draw(rows: readonly ActivityRow[]): void {
    const wanted = new Set(rows.map((row) => row.id));
    for (const [id, row] of this.made) {
      if (wanted.has(id)) continue;
      row.remove();
      this.made.delete(id);
    }
    let before: Element | null = this.body.firstElementChild;
    for (const row of rows) {
      const root = this.made.get(row.id) ?? this.make(row);
      if (root === before) before = before.nextElementSibling;
      else this.body.insertBefore(root, before);
    }
    this.first = rows.length === 0 && this.first;
  }

  /** Writes the times anew: the zone is another. */
  zoneChanged(rows: readonly ActivityRow[]): void {
    for (const row of rows) {
      const time = this.made.get(row.id)?.querySelector("time");
      if (time) writeTime(time, row.at);
    }
  }

  /** The next rows are of another question: they are not new. */
  anew(): void {
    this.first = true;
  }

  private make(row: ActivityRow): HTMLTableRowElement {
    const time = element("time", { class: "list-name" });
    writeTime(time, row.at);
    const root = element(
      "tr",
      { role: "row", "data-testid": "row", "data-id": String(row.id), "data-fresh": this.first ? undefined : "true" },
      element("th", { role: "rowheader", scope: "row", "data-cell": "at" }, time),
      this.cell("actor", link("who", row.actor)),
      this.cell("action", element("span", { class: "activity-action", "data-tone": toneOf(row) }, row.action)),
      this.cell("target", row.target === "" ? NONE : link("target", row.target)),
      this.cell("ip", row.ip === "" ? NONE : row.ip),
      this.cell("details", details(row)),
    );
    this.made.set(row.id, root);
    return root;
  }

  private cell(key: string, content: Node | string): HTMLElement {
    const label = this.heads.get(key) ?? "";
    return element("td", { role: "cell", "data-cell": key, "data-label": label, class: "list-tight" }, content);
  }
}

function writeTime(time: HTMLTimeElement, at: number): void {
  setText(time, `${dayOf(at)} ${clock(at)}`);
  time.dateTime = new Date(at * 1000).toISOString();
  time.title = exact(at);
}

function dayOf(at: number): string {
  return exact(at).split(/,? \d\d?:/)[0] ?? "";
}

/** Only what the log says itself is marked: it failed, or was refused. */
function toneOf(row: ActivityRow): string | undefined {
  const { outcome } = row.details;
  const bad = row.action.endsWith("_failed") || row.action.endsWith("_flood");
  return bad || outcome === "refused" || outcome === "failed" || outcome === "unknown" ? "warn" : undefined;
}

/** A name that is also a filter. */
function link(field: string, text: string): HTMLElement {
  const only = t("activity.only", { name: text });
  const href = `?${new URLSearchParams({ [field]: text })}`;
  return element("a", { href, class: "activity-link", title: only, "data-field": field, "data-value": text }, text);
}

function details(row: ActivityRow): HTMLElement {
  const names = Object.keys(row.details);
  if (names.length === 0) return element("span", {}, NONE);
  const left = row.details["left_out_bytes"];
  const line =
    typeof left === "number"
      ? t("activity.left_out", { bytes: String(left) })
      : names.map((name) => `${name}: ${inWords(row.details[name])}`).join(" · ");
  const short = line.length > SHORT_CHARS ? `${line.slice(0, SHORT_CHARS)}…` : line;
  const all = element("pre", { class: "activity-json", tabindex: "0" }, JSON.stringify(row.details, null, 2));
  return element("details", { class: "activity-details" }, element("summary", {}, short), all);
}

function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : value.map(inWords).join(", ");
  return typeof value === "string" ? value : JSON.stringify(value);
}
