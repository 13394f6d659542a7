/**
 * The field that adds symbols: checks what is typed, suggests what the server knows, says what came of it.
 * It must not know the list; it asks for what it needs.
 */
import { isSymbol, MAX_SYMBOLS, type Parsed, parseSymbols } from "../state/symbols";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { count, t } from "./text";

/** Typing goes on; the server is asked when it pauses. */
const SUGGEST_AFTER_MS = 150;

export interface Added {
  readonly added: readonly string[];
  readonly present: readonly string[];
  /** There was no room for these. */
  readonly left: readonly string[];
}

export interface FormActions {
  add(symbols: readonly string[]): Added;
  undo(): void;
}

export class WatchForm {
  private readonly form = part<HTMLFormElement>(document, "add");
  private readonly input = find<HTMLInputElement>(this.form, "input");
  private readonly hint = part(document, "add-hint");
  private readonly undoButton = part<HTMLButtonElement>(document, "undo");
  private readonly options = find<HTMLDataListElement>(document, "#known-symbols");
  private readonly actions: FormActions;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked = "";

  constructor(actions: FormActions) {
    this.actions = actions;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.input.addEventListener("input", () => this.onInput());
    this.undoButton.addEventListener("click", () => {
      this.actions.undo();
      this.focus();
    });
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  /** Says something below the field; `undoable` offers to take it back. */
  say(words: string, tone: "info" | "error" = "info", undoable = false): void {
    setText(this.hint, words);
    setAttribute(this.hint, "data-tone", tone);
    setHidden(this.undoButton, !undoable);
  }

  private submit(): void {
    const parsed = parseSymbols(this.input.value);
    if (parsed.symbols.length === 0) {
      this.refuse(parsed);
      return;
    }
    const result = this.actions.add(parsed.symbols);
    this.input.value = parsed.wrong.join(" ");
    const words = [
      result.added.length > 0 ? t("watch.added", { symbols: result.added.join(", ") }) : "",
      result.present.length > 0 ? t("watch.present", { symbols: result.present.join(", ") }) : "",
      result.left.length > 0 ? t("watch.full", { symbols: result.left.join(", "), max: count(MAX_SYMBOLS) }) : "",
      wrongWords(parsed),
    ];
    const bad = parsed.wrong.length > 0 || result.left.length > 0;
    setAttribute(this.input, "aria-invalid", parsed.wrong.length > 0 ? "true" : null);
    this.say(words.filter((one) => one !== "").join(" "), bad ? "error" : "info");
  }

  private refuse(parsed: Parsed): void {
    setAttribute(this.input, "aria-invalid", "true");
    this.say(parsed.wrong.length > 0 ? wrongWords(parsed) : t("watch.nothing"), "error");
    this.input.focus();
  }

  private onInput(): void {
    const parsed = parseSymbols(this.input.value);
    if (parsed.wrong.length === 0) setAttribute(this.input, "aria-invalid", null);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.suggest(parsed), SUGGEST_AFTER_MS);
  }

  private async suggest(parsed: Parsed): Promise<void> {
    const typed = parsed.symbols.length === 1 && parsed.wrong.length === 0 ? (parsed.symbols[0] ?? "") : "";
    if (typed === "" || typed === this.asked) return;
    this.asked = typed;
    const known = await knownSymbols(typed, 20);
    if (typed !== this.asked) return;
    this.options.replaceChildren(...known.map((symbol) => element("option", { value: symbol })));
  }
}

/** Symbols of which this server has seen a tick, and that can be watched; none if it cannot be asked, since suggestions are only a help. */
export async function knownSymbols(prefix: string, limit: number): Promise<string[]> {
  const query = new URLSearchParams({ prefix, limit: String(limit) });
  try {
    const answer = await fetch(`/api/v1/market/symbols?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return [];
    const body = (await answer.json()) as { symbols?: unknown };
    return Array.isArray(body.symbols) ? body.symbols.filter((one) => typeof one === "string" && isSymbol(one)) : [];
  } catch {
    // The network is away; the page's own connection says so.
    return [];
  }
}

export function wrongWords(parsed: Parsed): string {
  return parsed.wrong.length === 0 ? "" : t("watch.wrong", { words: parsed.wrong.join(" ") });
}
