/** Ctrl-K: one field that finds what the page offers. It must not know what the items do. */
import { element, find, part, setAttribute, setHidden } from "./dom";

export interface Item {
  kind: string;
  name: string;
  /** Further words it is found by and described with. */
  more?: string;
  run: () => void;
}

/** More than a screen of results helps nobody; typing narrows. */
const SHOWN = 12;

/** Items whose words all occur, best first: the name begins with the query, then contains it, then the rest. Pure. */
export function search(items: readonly Item[], query: string, limit: number = SHOWN): Item[] {
  const wanted = query.trim().toLowerCase();
  const words = wanted.split(/\s+/).filter((word) => word !== "");
  const scored: { item: Item; score: number; place: number }[] = [];
  for (const [place, item] of items.entries()) {
    const name = item.name.toLowerCase();
    const all = `${name} ${item.kind.toLowerCase()} ${(item.more ?? "").toLowerCase()}`;
    if (!words.every((word) => all.includes(word))) continue;
    const score = name === wanted ? 0 : name.startsWith(wanted) ? 1 : name.includes(wanted) ? 2 : 3;
    scored.push({ item, score, place });
  }
  scored.sort((a, b) => a.score - b.score || a.place - b.place);
  return scored.slice(0, limit).map((one) => one.item);
}

export class Palette {
  private readonly input: HTMLInputElement;
  private readonly list: HTMLElement;
  private readonly empty: HTMLElement;
  private all: Item[] = [];
  private found: Item[] = [];
  private active = 0;
  private readonly dialog: HTMLDialogElement;
  private readonly items: () => Item[];

  constructor(dialog: HTMLDialogElement, items: () => Item[]) {
    this.dialog = dialog;
    this.items = items;
    this.input = find<HTMLInputElement>(dialog, "#palette-input");
    this.list = find(dialog, "#palette-list");
    this.empty = part(dialog, "palette-empty");
    this.input.addEventListener("input", () => this.show());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("click", (event) => {
      const row = event.target instanceof Element ? event.target.closest("[role=option]") : null;
      if (row !== null) this.choose([...this.list.children].indexOf(row));
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  open(): void {
    this.all = this.items();
    this.input.value = "";
    this.show();
    this.dialog.showModal();
    this.input.focus();
  }

  private show(): void {
    this.found = search(this.all, this.input.value);
    this.active = 0;
    this.list.replaceChildren(
      ...this.found.map((item, i) =>
        element(
          "div",
          { role: "option", id: `palette-${i}`, class: "palette-row" },
          element("span", { class: "palette-name" }, item.name),
          element("span", { class: "palette-more" }, item.more ?? ""),
          element("span", { class: "palette-kind" }, item.kind),
        ),
      ),
    );
    setHidden(this.empty, this.found.length > 0);
    setHidden(this.list, this.found.length === 0);
    setAttribute(this.input, "aria-expanded", String(this.found.length > 0));
    this.mark();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      const size = Math.max(1, this.found.length);
      this.active = (this.active + step + size) % size;
      this.mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.choose(this.active);
    }
  }

  private mark(): void {
    for (const [i, row] of [...this.list.children].entries()) {
      setAttribute(row, "aria-selected", String(i === this.active));
      if (i === this.active) row.scrollIntoView({ block: "nearest" });
    }
    setAttribute(this.input, "aria-activedescendant", this.found.length > 0 ? `palette-${this.active}` : null);
  }

  private choose(index: number): void {
    const item = this.found[index];
    if (item === undefined) return;
    this.dialog.close();
    item.run();
  }
}
