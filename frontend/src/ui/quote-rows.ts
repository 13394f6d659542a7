/** The rows of the list of quotes; a row that stays is not made anew. It must not know where they come from. */
import { ApiError, type FieldSpec, fieldSpecs, type Row } from "../socket/quotes-api";
import { element, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import type { NewQuote } from "./new-quote";
import { ago, exact, money, NONE, word } from "./text";

const ICONS: Readonly<Record<string, string>> = {
  draft: "pencil-square",
  quoted: "check-circle-fill",
  bound: "lock",
  expired: "hourglass-split",
};

class RowView {
  readonly root: HTMLTableRowElement;
  private readonly link: HTMLAnchorElement;
  private readonly status = element("span", { class: "q-status" }, icon("pencil-square"), " ", element("span"));
  private readonly state = element("td", { class: "qs-state" });
  private readonly vehicle = element("td", { class: "qs-vehicle" });
  private readonly driver = element("td", { class: "qs-driver" });
  private readonly premium = element("td", { class: "num qs-premium" });
  private readonly age = element("time");
  private version = 0;

  constructor(id: string) {
    this.link = element("a", { href: `/quotes/${id}` });
    this.root = element(
      "tr",
      { "data-quote": id, "data-testid": "row" },
      element("th", { scope: "row" }, this.link),
      element("td", { class: "qs-status" }, this.status),
      this.state,
      this.vehicle,
      this.driver,
      this.premium,
      element("td", { class: "qs-age" }, this.age),
    );
  }

  draw(row: Row, now: number): void {
    setText(this.link, row.customer_name);
    setAttribute(this.status, "data-status", row.status);
    setIcon(this.status, ICONS[row.status] ?? "dash");
    const words = this.status.querySelector("span");
    if (words !== null) setText(words, word("quote.status", row.status));
    setText(this.state, row.state);
    setText(this.vehicle, row.vehicle || NONE);
    setAttribute(this.vehicle, "data-empty", row.vehicle ? null : "true");
    setAttribute(this.premium, "data-empty", row.premium_amount ? null : "true");
    setText(this.driver, row.driver_name ?? NONE);
    // The server leaves the amount out for those who may not see premiums, and may begin or cease to at any time.
    setHidden(this.premium, row.premium_amount === undefined);
    setText(this.premium, row.premium_amount ? money(row.premium_amount, "USD") : NONE);
    setText(this.age, ago(Math.max(0, now - row.updated_at)));
    setAttribute(this.age, "title", exact(row.updated_at));
    if (this.version !== 0 && row.version > this.version) {
      setAttribute(this.root, "data-flash", this.root.dataset["flash"] === "a" ? "b" : "a");
    }
    this.version = row.version;
  }
}

export class QuoteRows {
  private readonly body = part(document, "rows");
  private readonly views = new Map<string, RowView>();
  private readonly premiumColumn = part(document, "premium-column");

  draw(rows: readonly Row[], now: number): void {
    setHidden(
      this.premiumColumn,
      rows.every((row) => row.premium_amount === undefined),
    );
    const wanted = new Set(rows.map((row) => row.id));
    for (const [id, view] of this.views) {
      if (wanted.has(id)) continue;
      view.root.remove();
      this.views.delete(id);
    }
    for (const [place, row] of rows.entries()) {
      const view = this.views.get(row.id) ?? new RowView(row.id);
      this.views.set(row.id, view);
      if (this.body.children[place] !== view.root) this.body.insertBefore(view.root, this.body.children[place] ?? null);
      view.draw(row, now);
    }
  }

  focusFirst(): void {
    this.body.querySelector("a")?.focus();
  }

  /** The codes that a filter may have; the dialog for a new quote learns them, too. */
  async states(fresh: NewQuote): Promise<readonly string[]> {
    try {
      const specs = await fieldSpecs();
      fresh.learn(specs);
      return allowedOf(specs, "state");
    } catch (error) {
      // The list itself says what is wrong with the server.
      if (error instanceof ApiError) return [];
      throw error;
    }
  }
}

export function allowedOf(specs: readonly FieldSpec[], name: string): readonly string[] {
  return specs.find((spec) => spec.name === name)?.allowed ?? [];
}
