/**
 * The streaming page's conduct: what each message changes, what each button and key does, and where the list is kept.
 * State changes in state/, drawing happens in watch-view.
 */
import { hubUrl, MarketChannel } from "../socket/market-channel";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { FRESH_LINK, follow } from "../state/stream-link";
import { addressOf, listOf, MAX_SYMBOLS, type Parsed, parseSymbols } from "../state/symbols";
import {
  add,
  askAgain,
  EMPTY,
  enter,
  forgiveAll,
  lose,
  pause,
  receive,
  refuse,
  remove,
  resume,
  rowOf,
  symbolsOf,
  type WatchList,
} from "../state/watch-list";
import { element, part } from "./dom";
import { startFrame } from "./frame";
import { Loop } from "./loop";
import type { Item } from "./palette";
import { t } from "./text";
import { type Added, knownSymbols, WatchForm, wrongWords } from "./watch-form";
import { type WatchModel, WatchView } from "./watch-view";
import { followNetwork } from "./network.ts";

const LIST_KEY = "tidewire.watch";
const EXAMPLES = 6;

export class StreamingPage {
  private readonly loop = new Loop();
  private clock: ServerClock = firstClock();
  private readonly model: WatchModel = {
    list: EMPTY,
    link: FRESH_LINK,
    offline: !navigator.onLine,
    clockOffset: this.clock.offset,
  };
  private removed: { symbol: string; place: number } | null = null;
  private readonly view = new WatchView(this.model, {
    retry: () => this.channel.retryNow(),
    reload: () => this.channel.open(),
    askAgain: () => this.askAgain(),
    dismissLosses: () => this.change(forgiveAll(this.model.list)),
    remove: (symbol) => this.remove(symbol),
  });
  private readonly form = new WatchForm({ add: (symbols) => this.add(symbols), undo: () => this.undo() });
  private readonly channel = new MarketChannel(hubUrl(location), {
    link: (link) => {
      this.model.link = follow(this.model.link, link, Date.now());
      if (link.state !== "connected") this.model.list = askAgain(this.model.list);
      this.loop.mark();
    },
    entered: (symbol) => this.change(enter(this.model.list, symbol, this.view.now())),
    tick: (symbol, tick) => {
      this.clock = observe(this.clock, tick.taken, Date.now() / 1000);
      this.model.clockOffset = this.clock.offset;
      this.change(receive(this.model.list, symbol, tick));
    },
    lost: (symbol, reset) => {
      const loss = { at: this.view.now(), reason: reset.reason, atLeast: reset.missedAtLeast };
      this.change(lose(this.model.list, symbol, loss));
    },
    refused: (symbol, refusal) => this.change(refuse(this.model.list, symbol, refusal)),
  });

  start(): void {
    startFrame({
      items: () => this.paletteItems(),
      key: (event) => this.onKey(event),
      zoneChanged: () => this.loop.mark(),
      clockOffset: () => this.model.clockOffset,
    });
    part(document, "pause").addEventListener("click", () => this.togglePause());
    part(document, "rows").addEventListener("keydown", (event) => this.onRowKey(event));
    document.addEventListener("tidewire:theme", () => {
      this.view.restyle();
      this.loop.mark();
    });
    this.wireNetwork();
    this.load();
    this.loop.add(() => this.view.draw());
    this.loop.start();
    this.channel.open();
  }

  private wireNetwork(): void {
    window.addEventListener("popstate", () => location.reload());
    followNetwork(this.channel, (offline) => {
      this.model.offline = offline;
      this.loop.mark();
    });
  }

  // ---- the list ----

  /** The address counts; without one the list of the last time. */
  private load(): void {
    const parsed: Parsed = listOf(location.search) ?? parseSymbols(localStorage.getItem(LIST_KEY) ?? "");
    const added = this.add(parsed.symbols);
    const full =
      added.left.length > 0 ? t("watch.full", { symbols: added.left.join(", "), max: String(MAX_SYMBOLS) }) : "";
    const words = [wrongWords(parsed), full].filter((one) => one !== "").join(" ");
    if (words !== "") this.form.say(words, "error");
    if (parsed.symbols.length === 0) void this.offerExamples();
  }

  private add(symbols: readonly string[], place?: number): Added {
    const [added, present, left]: [string[], string[], string[]] = [[], [], []];
    let list = this.model.list;
    for (const symbol of symbols) {
      const next = add(list, symbol, place);
      (next !== list ? added : rowOf(list, symbol) !== null ? present : left).push(symbol);
      list = next;
    }
    this.removed = null;
    this.change(list);
    for (const symbol of added) this.channel.watch(symbol);
    this.keep();
    return { added, present, left };
  }

  private remove(symbol: string): void {
    const place = symbolsOf(this.model.list).indexOf(symbol);
    if (place === -1) return;
    this.channel.unwatch(symbol);
    this.change(remove(this.model.list, symbol));
    this.removed = { symbol, place };
    this.form.say(t("watch.removed", { symbol }), "info", true);
    this.keep();
    const rest = symbolsOf(this.model.list);
    const next = rest[Math.min(place, rest.length - 1)];
    // The pressed button is gone with its row; the keyboard goes on from the next one.
    if (next === undefined) this.form.focus();
    else this.view.row(next)?.removeButton.focus();
    if (rest.length === 0) void this.offerExamples();
  }

  private undo(): void {
    const { removed } = this;
    if (removed === null) return;
    this.add([removed.symbol], removed.place);
    this.form.say(t("watch.added", { symbols: removed.symbol }));
  }

  private askAgain(): void {
    for (const row of this.model.list.rows) {
      if (row.standing !== "refused") continue;
      this.change({
        ...this.model.list,
        rows: this.model.list.rows.map((one) =>
          one.symbol === row.symbol ? { ...one, standing: "asking", refusal: null } : one,
        ),
      });
      this.channel.watch(row.symbol);
    }
  }

  private change(list: WatchList): void {
    this.model.list = list;
    this.loop.mark();
  }

  private keep(): void {
    const symbols = symbolsOf(this.model.list);
    localStorage.setItem(LIST_KEY, symbols.join(","));
    const address = addressOf(location.pathname, symbols);
    if (address !== `${location.pathname}${location.search}`) history.replaceState(null, "", address);
  }

  /** Symbols to begin with, so that an empty page is no dead end. */
  private async offerExamples(): Promise<void> {
    const symbols = await knownSymbols("", EXAMPLES);
    part(document, "examples").replaceChildren(
      ...symbols.map((symbol) => {
        const words = t("watch.add_one", { symbol });
        const button = element(
          "button",
          { type: "button", class: "btn btn-sm btn-quiet", "aria-label": words, "data-testid": "example" },
          symbol,
        );
        button.addEventListener("click", () => {
          this.add([symbol]);
          this.form.say(t("watch.added", { symbols: symbol }));
          this.form.focus();
        });
        return button;
      }),
    );
    part(document, "empty-words").textContent = t(symbols.length > 0 ? "watch.empty.examples" : "watch.empty.silent");
  }

  // ---- keys ----

  private togglePause(): void {
    const { list } = this.model;
    this.change(list.paused === null ? pause(list, this.view.now()) : resume(list));
  }

  private onKey(event: KeyboardEvent): boolean {
    if (event.key === "/") {
      this.form.focus();
      return true;
    }
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key !== " " || onControl || this.model.list.rows.length === 0) return false;
    this.togglePause();
    return true;
  }

  private onRowKey(event: KeyboardEvent): void {
    const row = event.target instanceof Element ? event.target.closest("tr") : null;
    const symbol = row?.dataset["symbol"];
    if (symbol === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = symbolsOf(this.model.list);
    const at = all.indexOf(symbol);
    const goals: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    const goal = goals[event.key];
    if (event.key === "Delete") this.remove(symbol);
    else if (goal !== undefined) {
      const next = all[Math.max(0, Math.min(all.length - 1, goal))];
      if (next !== undefined) this.view.row(next)?.removeButton.focus();
    } else return;
    event.preventDefault();
  }

  private paletteItems(): Item[] {
    const action = t("palette.kind.action");
    return [
      {
        kind: action,
        name: t(this.model.list.paused === null ? "watch.pause" : "view.resume"),
        run: () => this.togglePause(),
      },
      { kind: action, name: t("watch.add"), run: () => this.form.focus() },
      ...symbolsOf(this.model.list).map((symbol) => ({
        kind: t("palette.kind.symbol"),
        name: symbol,
        run: () => this.view.row(symbol)?.removeButton.focus(),
      })),
    ];
  }
}

/** The page carries the server's time of its making, so that ages are right before the first tick. */
function firstClock(): ServerClock {
  const made = Number(part(document, "list").dataset["serverTime"]);
  const asked = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
  const local = (performance.timeOrigin + (asked?.responseStart ?? 0)) / 1000;
  // A page out of the browser's cache carries an old time; every message that comes says better.
  return newClock(Number.isFinite(made) && made > 0 ? made - local : 0, local);
}
