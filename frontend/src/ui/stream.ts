/**
 * The tick list of one column: 50 recycled rows, newest first, drawn at most once per frame. It must not know where
 * ticks come from. Rows never move under a pointer, a focus, a text selection or a scrolled list (dashboard.md M18):
 * the list then stands still and says how much is newer.
 */
import type { Tick } from "../socket/wire";
import { type Column, type Dashboard, ROWS_SHOWN, visible } from "../state/dashboard";
import { element, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { clock, clockMs, count, percent, price, t, volume } from "./text";

export interface StreamActions {
  pause(id: string): void;
  resume(id: string): void;
  clear(id: string): void;
  inspect(tick: Tick): void;
  redraw(): void;
}

interface Row {
  tr: HTMLTableRowElement;
  cells: {
    time: HTMLElement;
    symbol: HTMLElement;
    arrow: HTMLElement;
    word: HTMLElement;
    price: Text;
    change: HTMLElement;
    volume: HTMLElement;
    type: HTMLElement;
  };
  tick: Tick | null;
}

// Laying out 50 changed rows of three columns takes 20 ms, more than a frame. Under a flood only the rows in sight are
// written each time, and of the others a few in turn; the rest follows as soon as it is calm, or before anybody looks.
const UNSEEN_ROWS_A_TIME = 6;
const CALM_MS = 250;
/** Fewer changed rows than this are always drawn at once. */
const FLOOD_ROWS = 12;

/** A flash draws the eye to a rare tick; rows that come faster than it fades would only flicker. */
const FLASH_APART_MS = 300;

export class StreamView {
  private readonly body: HTMLElement;
  private readonly scroll: HTMLElement;
  private readonly state: HTMLElement;
  private readonly empty: HTMLElement;
  private readonly pauseButton: HTMLButtonElement;
  private readonly jumpButton: HTMLButtonElement;
  private rows: Row[] = [];
  private ticks: readonly Tick[] = [];
  private pointed = false;
  private scrolled = false;
  private selected = false;
  private inView = ROWS_SHOWN;
  private complete = true;
  private calm = false;
  private cursor = 0;
  private calmTimer: ReturnType<typeof setTimeout> | undefined;
  private drawnStream = -1;
  private drawnTotal = 0;
  private drawnAt = 0;
  private drawnGeneration = -1;
  private cleared = false;
  private skipped = 0;
  private readonly gone = new AbortController();
  private readonly observer = new ResizeObserver(([entry]) => {
    // Rows are 24 px high at least; two more cover the head and a half-seen row.
    this.inView = Math.min(ROWS_SHOWN, Math.ceil((entry?.contentRect.height ?? 0) / 24) + 2);
  });
  private readonly id: string;
  private readonly actions: StreamActions;

  constructor(root: ParentNode, id: string, name: string, actions: StreamActions) {
    this.id = id;
    this.actions = actions;
    this.body = part(root, "rows");
    this.scroll = part(root, "scroll");
    this.state = part(root, "stream-state");
    this.empty = part(root, "empty");
    this.pauseButton = part<HTMLButtonElement>(root, "pause");
    this.jumpButton = part<HTMLButtonElement>(root, "jump");
    setAttribute(part(root, "ticks"), "aria-label", t("tick.grid", { name }));
    this.rows = Array.from({ length: ROWS_SHOWN }, () => newRow());
    this.body.append(...this.rows.map((row) => row.tr));
    this.pauseButton.addEventListener("click", () => this.togglePause());
    this.jumpButton.addEventListener("click", () => this.jump());
    part(root, "clear").addEventListener("click", () => this.clear());
    this.scroll.addEventListener("pointerenter", (event) => this.point(event.pointerType === "mouse"));
    this.scroll.addEventListener("pointerleave", () => this.point(false));
    // Remembered here, because asking for it between two writes would make the browser lay the page out each time.
    this.scroll.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.observer.observe(this.scroll);
    document.addEventListener("selectionchange", () => this.onSelection(), { signal: this.gone.signal });
    this.body.addEventListener("focusin", () => actions.redraw());
    this.body.addEventListener("focusout", () => actions.redraw());
    this.body.addEventListener("click", (event) => this.onClick(event));
    this.body.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Lets go of what outlives its elements. */
  destroy(): void {
    this.gone.abort();
    this.observer.disconnect();
    clearTimeout(this.calmTimer);
  }

  get paused(): boolean {
    return this.pauseButton.getAttribute("aria-pressed") === "true";
  }

  togglePause(): void {
    if (this.paused) this.actions.resume(this.id);
    else this.actions.pause(this.id);
  }

  /** Back to the newest tick: unpauses, scrolls up and lets go of what held the list. */
  jump(): void {
    this.scroll.scrollTop = 0;
    this.scrolled = false;
    this.pointed = false;
    if (this.body.contains(document.activeElement)) this.pauseButton.focus();
    if (this.selected) document.getSelection()?.removeAllRanges();
    this.selected = false;
    this.cleared = true;
    if (this.paused) this.actions.resume(this.id);
    this.actions.redraw();
  }

  clear(): void {
    this.cleared = true;
    this.actions.clear(this.id);
  }

  /** Says how many ticks the server left out at the last resume. */
  setSkipped(skipped: number): void {
    this.skipped = skipped;
    this.cleared = true;
  }

  draw(dashboard: Dashboard, column: Column, emptyText: string): void {
    const forced = this.cleared || dashboard.generation !== this.drawnGeneration;
    const held = !forced && this.held();
    const paused = column.pausedAt !== null;
    if (forced || (!held && column.version.stream !== this.drawnStream)) {
      this.drawRows(dashboard, column, forced || paused);
    } else if (!this.complete && (held || this.calm || paused)) this.fillAll();
    this.drawState(dashboard, column, held, emptyText);
  }

  private held(): boolean {
    return this.pointed || this.scrolled || this.body.contains(document.activeElement) || this.selected;
  }

  private onSelection(): void {
    const selection = document.getSelection();
    const inside = selection?.anchorNode != null && this.body.contains(selection.anchorNode);
    // Asking whether it is collapsed makes the browser lay the page out; so only when it is here, and only on change.
    const selected = inside && selection !== null && !selection.isCollapsed;
    if (selected === this.selected) return;
    this.selected = selected;
    this.actions.redraw();
  }

  private drawRows(dashboard: Dashboard, column: Column, all: boolean): void {
    this.cleared = false;
    this.drawnGeneration = dashboard.generation;
    this.drawnStream = column.version.stream;
    this.drawnTotal = column.ring.total;
    this.ticks = visible(dashboard, column);
    const fresh = this.rotate(this.ticks);
    const changed = this.rows.reduce((sum, row, i) => sum + (row.tick === (this.ticks[i] ?? null) ? 0 : 1), 0);
    if (all || changed <= FLOOD_ROWS) this.fillAll();
    else this.fillSome();
    const now = performance.now();
    const rare = now - this.drawnAt >= FLASH_APART_MS;
    this.drawnAt = now;
    for (const [i, row] of this.rows.entries()) {
      const flash = i < fresh && rare;
      if (row.tr.classList.contains("fresh") !== flash) row.tr.classList.toggle("fresh", flash);
      const tab = i === 0 ? 0 : -1;
      if (row.tr.tabIndex !== tab) row.tr.tabIndex = tab;
    }
  }

  private fillAll(): void {
    clearTimeout(this.calmTimer);
    this.fillRows(0, ROWS_SHOWN);
    this.complete = true;
    this.calm = false;
  }

  private fillSome(): void {
    this.fillRows(0, this.inView);
    if (this.cursor < this.inView || this.cursor >= ROWS_SHOWN) this.cursor = this.inView;
    this.fillRows(this.cursor, this.cursor + UNSEEN_ROWS_A_TIME);
    this.cursor += UNSEEN_ROWS_A_TIME;
    this.complete = false;
    this.calm = false;
    clearTimeout(this.calmTimer);
    this.calmTimer = setTimeout(() => {
      this.calm = true;
      this.actions.redraw();
    }, CALM_MS);
  }

  private fillRows(from: number, to: number): void {
    for (let i = from; i < Math.min(to, ROWS_SHOWN); i += 1) {
      const row = this.rows[i];
      const tick = this.ticks[i] ?? null;
      if (row !== undefined && row.tick !== tick) fill(row, tick);
    }
  }

  /** Moves as many rows from the bottom to the top as there are new ticks, so that a tick keeps its row. Returns how many. */
  private rotate(ticks: readonly Tick[]): number {
    const first = this.rows[0]?.tick ?? null;
    if (first === null) return 0;
    const fresh = ticks.indexOf(first);
    if (fresh <= 0 || fresh >= this.rows.length) return 0;
    const moved = this.rows.slice(-fresh);
    this.rows = [...moved, ...this.rows.slice(0, -fresh)];
    this.body.prepend(...moved.map((row) => row.tr));
    return fresh;
  }

  private drawState(dashboard: Dashboard, column: Column, held: boolean, emptyText: string): void {
    const paused = column.pausedAt !== null;
    const newer = column.ring.total - this.drawnTotal;
    setAttribute(this.pauseButton, "aria-pressed", String(paused));
    setIcon(this.pauseButton, paused ? "play-fill" : "pause-fill");
    setText(part(this.pauseButton, "pause-word"), paused ? t("view.resume") : t("view.pause"));
    this.jumpButton.disabled = !paused && !held;
    if (paused) this.skipped = 0;
    // Cut off, a list is neither live nor anything else; the page's banner says what it is.
    const words = dashboard.synced || paused ? this.words(column, held, newer) : "";
    setText(this.state, words);
    setAttribute(this.state, "title", words);
    setAttribute(this.state, "data-view", paused ? "paused" : held && newer > 0 ? "holding" : "live");
    const none = this.rows[0]?.tick === null;
    setHidden(this.empty, !none);
    if (none) setText(this.empty, emptyText);
  }

  private words(column: Column, held: boolean, newer: number): string {
    if (column.pausedAt !== null) {
      return t("view.paused", { time: clock(column.pausedAt), held: count(column.held + column.heldBefore) });
    }
    if (held && newer > 0) return t("view.holding", { count: count(newer) });
    return this.skipped > 0 ? t("view.skipped", { count: count(this.skipped) }) : t("view.live");
  }

  private onScroll(): void {
    // A few pixels are a trembling finger, not a wish to read.
    this.scrolled = this.scroll.scrollTop > 4;
    this.actions.redraw();
  }

  private point(pointed: boolean): void {
    this.pointed = pointed;
    this.actions.redraw();
  }

  private onClick(event: Event): void {
    if (this.selected) return;
    const row = this.rowOf(event.target);
    if (row?.tick) this.actions.inspect(row.tick);
  }

  private onKey(event: KeyboardEvent): void {
    const row = this.rowOf(event.target);
    if (row === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.rows.findLastIndex((one) => one.tick !== null);
    const at = this.rows.indexOf(row);
    const goals: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: last,
      PageDown: at + 10,
      PageUp: at - 10,
    };
    const goal = goals[event.key];
    if (goal !== undefined) {
      event.preventDefault();
      this.rows[Math.max(0, Math.min(last, goal))]?.tr.focus();
    } else if (event.key === "Enter" && row.tick !== null) {
      event.preventDefault();
      this.actions.inspect(row.tick);
    }
  }

  private rowOf(target: EventTarget | null): Row | undefined {
    const tr = target instanceof Element ? target.closest("tr") : null;
    return tr === null ? undefined : this.rows.find((row) => row.tr === tr);
  }
}

function newRow(): Row {
  const time = element("td");
  const symbol = element("td", { class: "tick-symbol" });
  const arrow = element("span", { class: "arrow", "aria-hidden": "true" });
  const word = element("span", { class: "visually-hidden" });
  const text = document.createTextNode("");
  const priceCell = element("td", { class: "num tick-price" }, arrow, word, text);
  const change = element("td", { class: "num tick-change" });
  const size = element("td", { class: "num" });
  const type = element("td", { class: "tick-type" });
  const tr = element("tr", { tabindex: "-1", hidden: true }, time, symbol, priceCell, change, size, type);
  return { tr, cells: { time, symbol, arrow, word, price: text, change, volume: size, type }, tick: null };
}

const ARROWS = { up: "▲", down: "▼", flat: "=", first: "·" } as const;

function fill(row: Row, tick: Tick | null): void {
  const before = row.tick;
  row.tick = tick;
  const { tr, cells } = row;
  if (tick === null) {
    tr.hidden = true;
    return;
  }
  if (before === null) tr.hidden = false;
  const change = tick.change_pct;
  const direction = change === null ? "first" : change > 0 ? "up" : change < 0 ? "down" : "flat";
  setAttribute(tr, "data-direction", direction);
  setAttribute(tr, "data-tick", String(tick.id));
  setAttribute(tr, "data-symbol", tick.symbol);
  setText(cells.time, clockMs(tick.timestamp));
  setText(cells.symbol, tick.symbol);
  setText(cells.arrow, ARROWS[direction]);
  setText(cells.word, `${t(`tick.${direction}`)} `);
  cells.price.data = price(tick.price);
  setText(cells.change, percent(change));
  setText(cells.volume, volume(tick.volume));
  setAttribute(cells.volume, "title", count(tick.volume));
  setText(cells.type, tick.event ?? "");
}
