/** The feed page's keys and palette entries. It must not know how a command is carried out. */

import { allPaused } from "../state/dashboard";
import { type FilterFields, NO_FIELDS } from "../state/filter";
import type { FeedModel } from "./feed-view";
import type { Item } from "./palette";
import { t } from "./text";

export interface FeedCommands {
  togglePauseAll(): void;
  togglePause(id: string): void;
  /** To the newest tick of one column, or of all. */
  jump(id: string | null): void;
  clearAll(): void;
  /** False if there is no such column; 0 is the first. */
  focusColumn(index: number): boolean;
  focusFilter(): void;
  setFilter(fields: FilterFields): void;
  toggleFeed(): void;
}

/** Carries a key out; false if it means nothing here. */
export function onKey(event: KeyboardEvent, commands: FeedCommands): boolean {
  const target = event.target instanceof Element ? event.target : null;
  if (event.key === " ") {
    // The space bar presses a focused button and opens a focused summary; that is theirs.
    if (target?.closest("button, a, summary, [role=option]")) return false;
    if (event.shiftKey) {
      commands.togglePauseAll();
      return true;
    }
    const id = aimed();
    if (id !== null) commands.togglePause(id);
    return id !== null;
  }
  if (event.key === "/") {
    commands.focusFilter();
    return true;
  }
  if (event.key.toLowerCase() === "j") {
    commands.jump(aimed());
    return true;
  }
  return /^[1-9]$/.test(event.key) && commands.focusColumn(Number(event.key) - 1);
}

/** The column with the focus, else the one under the pointer. */
function aimed(): string | null {
  const focused = document.activeElement?.closest<HTMLElement>("[data-connection]");
  const found = focused ?? document.querySelector<HTMLElement>("[data-connection]:hover");
  return found?.dataset["connection"] ?? null;
}

export function paletteItems(model: FeedModel, commands: FeedCommands): Item[] {
  const { state } = model;
  const kind = t("palette.kind.action");
  const items: Item[] = [
    { kind, name: allPaused(state) ? t("view.resume_all") : t("view.pause_all"), run: () => commands.togglePauseAll() },
    { kind, name: t("view.jump_all"), run: () => commands.jump(null) },
    { kind, name: t("view.clear_all"), run: () => commands.clearAll() },
    { kind, name: t("filter.title"), run: () => commands.focusFilter() },
    { kind, name: t("filter.clear"), run: () => commands.setFilter(NO_FIELDS) },
  ];
  if (state.canControlFeed) {
    items.push({
      kind,
      name: state.status?.paused ? t("feed.resume") : t("feed.pause"),
      run: () => commands.toggleFeed(),
    });
  }
  const symbols: Item[] = [];
  for (const [index, [id, column]] of [...state.columns].entries()) {
    if (column.line === null) continue;
    const { name, tickers } = column.line;
    items.push({
      kind: t("palette.kind.connection"),
      name,
      more: id.replace("_", " "),
      run: () => commands.focusColumn(index),
    });
    for (const symbol of tickers ?? []) {
      symbols.push({
        kind: t("palette.kind.symbol"),
        name: symbol,
        more: t("palette.symbol.on", { name }),
        run: () => commands.setFilter({ ...NO_FIELDS, symbols: symbol }),
      });
    }
  }
  return [...items, ...symbols];
}
