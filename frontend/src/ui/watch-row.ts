/** One symbol's row: made once, then only what changed is written. It must not know the list or the socket. */
import { changeOf, isStale, isUnknown, type Row, timeOf } from "../state/watch-list";
import { element, icon, setAttribute, setHidden, setIcon, setText } from "./dom";
import { refusalWords } from "./problem-words";
import { drawSparkline, rangeOf, type SparkColours } from "./sparkline";
import { ago, clock, count, difference, exact, NONE, percent, price, span, t } from "./text";

/** A flash draws the eye to a change; one that comes before the last has faded would only flicker. */
const FLASH_MS = 300;
const ARROWS = { up: "▲", down: "▼", flat: "=", first: "·" } as const;

export interface RowContext {
  /** Server time, or that of the pause, Unix seconds. */
  readonly now: number;
  /** Whether ticks can come at all. */
  readonly live: boolean;
  readonly colours: SparkColours;
}

type Tone = "warn" | "error" | "idle";
interface Note {
  readonly tone: Tone;
  readonly words: string;
  readonly more: string;
}

export class WatchRow {
  readonly root: HTMLTableRowElement;
  readonly removeButton: HTMLButtonElement;
  private readonly cells = {
    arrow: element("span", { class: "arrow", "aria-hidden": "true" }),
    word: element("span", { class: "visually-hidden" }),
    price: element("span", { "data-testid": "price" }, NONE),
    change: element("span", { "data-testid": "change" }, NONE),
    percent: element("span", { class: "watch-small" }),
    volume: element("span", { "data-testid": "volume" }, NONE),
    age: element("span", { "data-testid": "age" }),
    note: element("span", { "data-testid": "note" }),
    dot: element("span", { class: "dot", "aria-hidden": "true", hidden: true }),
    owner: element("span", { "data-testid": "owner" }),
    source: element("span", { class: "watch-small", "data-testid": "source" }),
  };
  private readonly noteIcon = icon("exclamation-triangle-fill");
  private readonly noteBox = element("span", { class: "watch-note" }, this.noteIcon, this.cells.note);
  private readonly canvas = element("canvas", { class: "spark", role: "img", "data-testid": "trend" });
  private drawn: Row | null = null;
  private drawnColours: SparkColours | null = null;
  private flashedAt = 0;

  constructor(symbol: string, remove: (symbol: string) => void) {
    const { cells } = this;
    const words = t("watch.remove", { symbol });
    this.removeButton = element(
      "button",
      { type: "button", class: "btn-icon", "aria-label": words, title: words, "data-testid": "remove" },
      icon("x-lg"),
    );
    this.removeButton.addEventListener("click", () => remove(symbol));
    this.root = element(
      "tr",
      { role: "row", "data-testid": "watch-row", "data-symbol": symbol },
      element("th", { role: "rowheader", scope: "row", class: "watch-symbol" }, symbol),
      cell("num watch-price", cells.arrow, cells.word, cells.price),
      cell("num watch-change", cells.change, cells.percent),
      cell("watch-trend", this.canvas),
      cell("num watch-volume", cells.volume),
      cell("watch-age", cells.age, this.noteBox),
      cell("watch-owner", element("span", { class: "watch-line" }, cells.dot, cells.owner), cells.source),
      cell("watch-remove", this.removeButton),
    );
  }

  draw(row: Row, context: RowContext): void {
    if (row.tick !== this.drawn?.tick) this.drawTick(row);
    if (row.points !== this.drawn?.points || context.colours !== this.drawnColours)
      this.drawTrend(row, context.colours);
    this.drawAge(row, context);
    setAttribute(this.root, "data-standing", row.standing);
    this.drawn = row;
  }

  private drawTick(row: Row): void {
    const { tick } = row;
    const { cells } = this;
    if (tick === null) return;
    setAttribute(this.root, "data-direction", row.direction);
    setText(cells.arrow, ARROWS[row.direction]);
    setText(cells.word, `${t(`tick.${row.direction}`)} `);
    setText(cells.price, price(tick.price));
    setText(cells.volume, count(tick.volume));
    this.drawChange(row);
    setText(cells.owner, tick.owner ?? t("watch.nobody"));
    setAttribute(cells.dot, "data-identity", tick.owner === null ? null : String(identityOf(tick.owner)));
    setHidden(cells.dot, false);
    setText(cells.source, tick.source);
    const before = this.drawn?.tick ?? null;
    if (before !== null && before.price !== tick.price) this.flash();
  }

  private drawChange(row: Row): void {
    const { cells } = this;
    const change = changeOf(row);
    const amount = change?.amount ?? 0;
    setAttribute(this.root, "data-change", change === null || amount === 0 ? "none" : amount > 0 ? "up" : "down");
    setText(cells.change, difference(change?.amount, row.tick?.price ?? 1));
    setText(cells.percent, percent(change?.percent));
    const more =
      change === null
        ? ""
        : t("watch.change.since", { price: price(change.from.price), time: clock(timeOf(change.from)) });
    setAttribute(cells.change, "title", more === "" ? null : more);
  }

  private drawTrend(row: Row, colours: SparkColours): void {
    this.drawnColours = colours;
    drawSparkline(this.canvas, row.points, colours);
    const range = rangeOf(row.points);
    const { symbol } = row;
    const words =
      range === null
        ? t("watch.trend.none", { symbol })
        : t("watch.trend", { symbol, low: price(range.low), high: price(range.high), span: span(range.spanS) });
    setAttribute(this.canvas, "aria-label", words);
    setAttribute(this.canvas, "title", words);
  }

  private drawAge(row: Row, context: RowContext): void {
    const { cells } = this;
    const { tick } = row;
    const stale = tick !== null && (!context.live || isStale(row, context.now));
    setAttribute(this.root, "data-stale", stale ? "true" : null);
    setText(cells.age, tick === null ? t("watch.no_tick") : ago(Math.max(0, context.now - timeOf(tick))));
    setAttribute(cells.age, "title", tick === null ? null : exact(timeOf(tick)));
    const note = noteOf(row, context);
    setHidden(this.noteBox, note === null);
    setAttribute(this.root, "data-note", note?.tone ?? null);
    if (note === null) return;
    setText(cells.note, note.words);
    setAttribute(this.noteBox, "title", note.more);
    setAttribute(this.noteBox, "data-tone", note.tone);
    setIcon(
      this.noteIcon,
      note.tone === "error" ? "x-circle-fill" : note.tone === "warn" ? "exclamation-triangle-fill" : "hourglass-split",
    );
  }

  /** Two equal animations take turns, because one and the same would not begin again. */
  private flash(): void {
    const now = performance.now();
    if (now - this.flashedAt < FLASH_MS) return;
    this.flashedAt = now;
    setAttribute(this.root, "data-flash", this.root.dataset["flash"] === "a" ? "b" : "a");
  }
}

/** What deserves saying beside the age, the gravest first. */
function noteOf(row: Row, context: RowContext): Note | null {
  if (row.standing === "refused") {
    const code = row.refusal?.code ?? "";
    const words = code === "permission_revoked" ? t("watch.note.revoked") : t("watch.note.refused");
    return { tone: "error", words, more: refusalWords(row.refusal) };
  }
  if (isUnknown(row, context.now))
    return { tone: "warn", words: t("watch.note.unknown"), more: t("watch.note.unknown.more") };
  if (row.loss !== null) {
    const { at, atLeast } = row.loss;
    const words = atLeast === null ? t("watch.note.lost") : t("watch.note.lost.count", { count: count(atLeast) });
    return { tone: "warn", words, more: t("watch.note.lost.more", { time: clock(at) }) };
  }
  if (!context.live) return row.tick === null ? null : { tone: "idle", words: t("watch.note.old"), more: "" };
  if (row.standing === "asking") return { tone: "idle", words: t("watch.note.asking"), more: "" };
  if (isStale(row, context.now))
    return { tone: "warn", words: t("watch.note.stale"), more: t("watch.note.stale.more") };
  return null;
}

function cell(classes: string, ...children: Node[]): HTMLTableCellElement {
  return element("td", { role: "cell", class: classes }, ...children);
}

/** Which identity colour a connection has: by its number, as on the feed page. */
function identityOf(connection: string): number {
  const number = Number(/(\d+)$/.exec(connection)?.[1] ?? 1);
  return ((number - 1) % 8) + 1;
}
