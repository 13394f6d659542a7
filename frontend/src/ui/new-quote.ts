/** The dialog that makes a quote and leads to it. It must not know the list. */
import { ApiError, createQuote, type FieldSpec } from "../socket/quotes-api";
import { find, part, setAttribute, setHidden, setText } from "./dom";
import { reasonWords } from "./error-words";
import { failureWords } from "./quote-words";
import { t, word } from "./text";

export class NewQuote {
  private readonly dialog = find<HTMLDialogElement>(document, "#new-dialog");
  private readonly customer = find<HTMLInputElement>(this.dialog, "#new-customer");
  private readonly state = find<HTMLSelectElement>(this.dialog, "#new-state");
  private readonly product = find<HTMLSelectElement>(this.dialog, "#new-product");
  private readonly go = part<HTMLButtonElement>(this.dialog, "new-go");
  private readonly said = part(this.dialog, "new-said");
  private readonly opener = part<HTMLButtonElement>(document, "new");
  private sending = false;
  /** One opening of the dialog makes one quote, however often the button is pressed. */
  private key = "";

  constructor() {
    this.opener.addEventListener("click", () => this.open());
    part(this.dialog, "new-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "new-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.go.disabled) void this.send();
    });
  }

  learn(specs: readonly FieldSpec[]): void {
    for (const [select, name] of [
      [this.state, "state"],
      [this.product, "product"],
    ] as const) {
      const allowed = specs.find((spec) => spec.name === name)?.allowed ?? [];
      select.replaceChildren(...allowed.map((value) => new Option(word("quote.value", value), value)));
    }
  }

  /** Whether the person may make a quote, as far as the server has said. */
  get allowed(): boolean {
    return !this.opener.hidden;
  }

  /** The right has come or gone; what is typed in an open dialog stays, and cannot be sent without it. */
  allow(allowed: boolean): void {
    if (allowed === this.allowed) return;
    if (!allowed && document.activeElement === this.opener) find(document, "#qs-search").focus();
    setHidden(this.opener, !allowed);
    setHidden(part(document, "new-help"), !allowed);
    if (this.dialog.open) this.say(allowed ? "" : t("quotes.new.refused"), []);
    this.enable();
  }

  private enable(): void {
    this.go.disabled = this.sending || !this.allowed;
  }

  open(): void {
    if (!this.allowed || this.dialog.open) return;
    this.key = crypto.randomUUID();
    this.customer.value = "";
    this.say("", []);
    this.dialog.showModal();
    this.customer.focus();
  }

  private async send(): Promise<void> {
    this.sending = true;
    this.enable();
    const fields = { customer_name: this.customer.value, state: this.state.value, product: this.product.value };
    try {
      location.assign(`/quotes/${await createQuote(fields, this.key)}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const reasons = [...error.fields].map(([name, reason]) => `${this.labelOf(name)}: ${reasonWords(reason)}`);
      this.say(reasons.length > 0 ? reasons.join(" ") : failureWords(error), [...error.fields.keys()]);
      // Another attempt with other facts is another wish.
      if (error.status >= 400 && error.status < 500) this.key = crypto.randomUUID();
    }
    this.sending = false;
    this.enable();
  }

  private labelOf(name: string): string {
    const control = [this.customer, this.state, this.product].find((one) => one.name === name);
    return control?.labels?.[0]?.textContent ?? name;
  }

  private say(words: string, wrong: readonly string[]): void {
    setText(this.said, words);
    for (const control of [this.customer, this.state, this.product]) {
      setAttribute(control, "aria-invalid", wrong.includes(control.name) ? "true" : null);
    }
    if (wrong.includes("customer_name")) this.customer.focus();
    setText(this.go, t("quotes.new.go"));
  }
}
