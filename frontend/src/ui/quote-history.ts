/**
 * What has been changed in a quote, newest first, page by page, each change with its undoing. It must not know the form.
 */
import type { Json } from "../client/index";
import { ApiError, type Change, type FieldSpec, listChanges, undoChange } from "../socket/quotes-api";
import { isObject } from "../state/quote-wire";
import { element, icon, part, setHidden, setText } from "./dom";
import { fieldLabel, valueWords } from "./quote-control";
import { failureWords } from "./quote-words";
import { serverWords } from "./server-words";
import { ago, exact, money, t, word } from "./text";

const PAGE = 15;

export class History {
  private readonly list = part(document, "history");
  private readonly more = part<HTMLButtonElement>(document, "history-more");
  private readonly said = part(document, "history-said");
  private readonly quoteId: string;
  private readonly specs: ReadonlyMap<string, FieldSpec>;
  private changes: Change[] = [];
  private next: number | null = null;
  private wanted = 0;
  private asking = false;
  private era = 0;
  private editable = false;
  private now = 0;
  private ages: { at: number; place: HTMLElement }[] = [];

  constructor(quoteId: string, specs: ReadonlyMap<string, FieldSpec>) {
    this.quoteId = quoteId;
    this.specs = specs;
    this.more.addEventListener("click", () => void this.older());
  }

  /** The quote has this version now; asks for what is new. */
  follow(version: number, editable: boolean): void {
    const before = this.editable;
    this.editable = editable;
    if (version > this.wanted) {
      this.wanted = version;
      void this.newest();
    } else if (before !== editable) this.show();
  }

  /** What stands here is no longer to be seen. */
  clear(): void {
    // Nor is an answer that is on its way.
    this.era += 1;
    this.changes = [];
    this.next = null;
    this.wanted = 0;
    this.show();
  }

  /** Ages move on; `now` is server time, Unix seconds. */
  draw(now: number): void {
    this.now = now;
    for (const { at, place } of this.ages) setText(place, ago(Math.max(0, now - at)));
  }

  /** One question at a time: what comes meanwhile is asked for once, after it. */
  private async newest(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    const { era, wanted: upTo } = this;
    const found = await this.ask(null);
    this.asking = false;
    if (era !== this.era) {
      if (this.wanted > 0) void this.newest();
      return;
    }
    if (found === null) return;
    const oldest = found.changes.at(-1)?.version ?? 0;
    const kept = this.changes.filter((one) => one.version < oldest);
    // A hole between the pages cannot be shown as if nothing had been there.
    const joined = kept[0]?.version === oldest - 1;
    this.changes = [...found.changes, ...(joined ? kept : [])];
    if (!joined) this.next = found.next;
    this.show();
    if (this.wanted > upTo) void this.newest();
  }

  private async older(): Promise<void> {
    this.more.disabled = true;
    const { era } = this;
    const found = await this.ask(this.next);
    this.more.disabled = false;
    if (found === null || era !== this.era) return;
    const first = found.changes[0]?.version;
    this.changes.push(...found.changes);
    this.next = found.next;
    this.show();
    // The keyboard goes on at the first of the older ones.
    this.list.querySelector<HTMLElement>(`[data-version="${first}"]`)?.focus();
  }

  private async ask(before: number | null): Promise<{ changes: readonly Change[]; next: number | null } | null> {
    try {
      return await listChanges(this.quoteId, before, PAGE);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(this.said, failureWords(error));
      return null;
    }
  }

  private show(): void {
    const focused = document.activeElement?.closest<HTMLElement>("[data-version]")?.dataset["version"];
    this.ages = [];
    this.list.replaceChildren(...this.changes.map((change) => this.row(change)));
    if (focused !== undefined) this.list.querySelector<HTMLElement>(`[data-version="${focused}"]`)?.focus();
    this.draw(this.now);
    setHidden(this.more, this.next === null);
    setHidden(part(document, "history-empty"), this.changes.length > 0);
  }

  private row(change: Change): HTMLElement {
    const age = element("time", { title: exact(change.at), datetime: new Date(change.at * 1000).toISOString() });
    this.ages.push({ at: change.at, place: age });
    const spec = this.specs.get(change.field);
    const title = spec === undefined ? word("quote.field", change.field) : fieldLabel(change.field, this.specs);
    const row = element(
      "li",
      { "data-version": String(change.version), "data-testid": "change", tabindex: "-1" },
      element(
        "p",
        { class: "q-change-head" },
        element("strong", {}, title),
        " ",
        element("span", {}, change.by),
        " ",
        age,
      ),
      element(
        "p",
        { class: "q-change-values" },
        this.words(change.before, spec, change),
        " → ",
        this.words(change.after, spec, change),
      ),
    );
    if (change.reason !== "") row.append(element("p", { class: "q-quiet" }, this.reason(change)));
    if (change.undoable && this.editable) row.append(this.undoButton(change, title));
    return row;
  }

  private reason({ reason, why }: Change): string {
    if (!isObject(why)) return serverWords("change", { text: reason, code: "" });
    const field = why["field"];
    const details = typeof field === "string" ? { ...why, field: fieldLabel(field, this.specs) } : why;
    return serverWords("change", { text: reason, code: String(why["code"]), details });
  }

  private words(value: Json, spec: FieldSpec | undefined, change: Change): string {
    if (change.field === "premium" && isObject(value)) {
      return value["withheld"] === true
        ? t("quote.withheld")
        : money(String(value["amount"]), String(value["currency"]));
    }
    if (change.field === "status" && typeof value === "string") return word("quote.status", value);
    return valueWords(value, spec);
  }

  private undoButton(change: Change, title: string): HTMLElement {
    const label = t("quote.history.undo.of", {
      field: title,
      value: valueWords(change.before, this.specs.get(change.field)),
    });
    const attributes = {
      type: "button",
      class: "btn btn-sm btn-quiet",
      "aria-label": label,
      title: label,
      "data-testid": "undo",
    };
    const button = element("button", attributes, icon("arrow-counterclockwise"), t("quote.history.undo"));
    // One press is one wish, also if its answer gets lost and it is pressed again.
    const key = crypto.randomUUID();
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await undoChange(this.quoteId, change.version, key);
        setText(this.said, t("quote.history.undone", { field: title }));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        setText(this.said, failureWords(error));
      }
      button.disabled = false;
    });
    return button;
  }
}
