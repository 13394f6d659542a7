/**
 * The premium, what it is made of, and a calculation under way; and binding, which asks once. Without the permission to
 * see premiums there is no premium here at all. It must not know the form.
 */
import { ApiError, bindQuote, calculateQuote, type FieldSpec } from "../socket/quotes-api";
import type { QuoteModel } from "../state/quote";
import type { Premium, Progress } from "../state/quote-wire";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { errorWords, reasonWords } from "./error-words";
import { fieldLabel } from "./quote-control";
import { failureWords } from "./quote-words";
import { lineWords } from "./server-words";
import { clock, exact, money, t, word } from "./text";

export interface RatingLook {
  readonly model: QuoteModel;
  readonly missing: readonly string[];
  readonly mayEdit: boolean;
  /** Connected, and nothing of one's own is waiting. */
  readonly settled: boolean;
}

export class Rating {
  private readonly quoteId: string;
  private readonly specs: ReadonlyMap<string, FieldSpec>;
  private readonly calculate = part<HTMLButtonElement>(document, "calculate");
  private readonly bind = part<HTMLButtonElement>(document, "bind");
  private readonly said = part(document, "rating-said");
  private readonly dialog = find<HTMLDialogElement>(document, "#bind-dialog");
  private readonly confirm = find<HTMLInputElement>(this.dialog, "#bind-confirm");
  private readonly go = part<HTMLButtonElement>(this.dialog, "bind-go");
  private look: RatingLook | null = null;
  /** Undefined, too, when there is none to show: what was drawn must go then. */
  private drawn: Premium | null | undefined | "nothing" = "nothing";
  private missingDrawn = "";
  private asking = false;
  /** Of the next calculation that is asked for. */
  private key = crypto.randomUUID();

  constructor(quoteId: string, specs: ReadonlyMap<string, FieldSpec>) {
    this.quoteId = quoteId;
    this.specs = specs;
    this.calculate.addEventListener("click", () => void this.begin());
    this.bind.addEventListener("click", () => this.openDialog());
    this.confirm.addEventListener("input", () => this.allow());
    part(this.dialog, "bind-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "bind-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.go.disabled) void this.send();
    });
  }

  draw(look: RatingLook): void {
    this.look = look;
    const head = look.model.quote?.quote;
    const open = look.mayEdit && (head?.status === "draft" || head?.status === "quoted");
    const running = look.model.progress !== null && !look.model.progress.ended;
    setHidden(this.calculate, !open);
    setHidden(this.bind, !open);
    this.calculate.disabled = this.asking || running || !look.settled || look.missing.length > 0;
    this.bind.disabled = head?.status !== "quoted" || !look.settled;
    this.drawMissing(open ? look.missing : []);
    this.drawProgress(look.model.progress);
    this.drawPremium(head?.premium);
    this.allow();
  }

  private drawMissing(missing: readonly string[]): void {
    const place = part(document, "missing");
    setHidden(place, missing.length === 0);
    if (this.missingDrawn === missing.join()) return;
    this.missingDrawn = missing.join();
    const links = missing.map((name) => {
      const link = element("a", { href: `#q-${name}`, "data-testid": "missing-field" }, fieldLabel(name, this.specs));
      link.addEventListener("click", (event) => {
        event.preventDefault();
        document.getElementById(`q-${name}`)?.focus();
      });
      return element("li", {}, link);
    });
    part(place, "missing-fields").replaceChildren(...links);
  }

  private drawProgress(progress: Progress | null): void {
    const place = part(document, "progress");
    const running = progress !== null && !progress.ended;
    setHidden(place, !running);
    if (progress === null) return;
    part<HTMLProgressElement>(place, "progress-bar").value = progress.percent;
    const stage = word("quote.stage", progress.stage);
    setText(part(document, "progress-words"), running ? `${stage} · ${progress.percent} %` : "");
    setText(part(document, "progress-said"), running ? stage : this.endWords(progress));
  }

  private endWords({ stage, error }: Progress): string {
    if (error === null) return word("quote.stage", stage);
    const fields = Object.entries(error.fields).map(
      ([name, text]) => `${fieldLabel(name, this.specs)}: ${reasonWords({ text, why: null })}`,
    );
    const said = { code: error.code, sentences: [error.message, error.required_action, error.will_not] };
    return [errorWords(said), ...fields].filter((one) => one !== "").join(" ");
  }

  private drawPremium(premium: Premium | null | undefined): void {
    const place = part(document, "premium");
    // Without the permission there is none in the state; with it, and while none was calculated, it is null.
    setHidden(place, premium === undefined);
    if (premium === this.drawn) return;
    this.drawn = premium;
    setText(part(place, "premium-amount"), premium ? money(premium.amount, premium.currency) : t("quote.premium.none"));
    setAttribute(place, "data-premium", premium ? "known" : "none");
    const about =
      premium &&
      t("quote.premium.about", { months: String(premium.term_months), plan: premium.plan, time: clock(premium.at) });
    setText(part(place, "premium-about"), about || t("quote.premium.how"));
    setAttribute(part(place, "premium-about"), "title", premium ? exact(premium.at) : null);
    const lines = premium?.breakdown ?? [];
    setHidden(part(place, "breakdown-table"), lines.length === 0);
    part(place, "breakdown").replaceChildren(
      ...lines.map((line) => {
        const figure = line.amount ? money(line.amount, premium?.currency ?? "USD") : "";
        const label = element("th", { scope: "row" }, lineWords(line.code, line.label));
        const more = [line.detail ?? "", line.factor ? `× ${line.factor}` : ""].filter((one) => one !== "").join(" ");
        if (more !== "") label.append(" ", element("span", { class: "q-quiet" }, more));
        return element("tr", { "data-testid": "breakdown-line" }, label, element("td", { class: "num" }, figure));
      }),
    );
  }

  private async begin(): Promise<void> {
    this.asking = true;
    this.calculate.disabled = true;
    const done = await this.ask(this.said, async () => {
      try {
        await calculateQuote(this.quoteId, this.key);
      } catch (error) {
        // Who was refused asks anew; who got no answer asks the same again, so that it begins once.
        if (error instanceof ApiError && error.status >= 400 && error.status < 500) this.key = crypto.randomUUID();
        throw error;
      }
    });
    if (done) this.key = crypto.randomUUID();
    this.asking = false;
  }

  private openDialog(): void {
    this.confirm.value = "";
    setText(part(this.dialog, "bind-said"), "");
    this.allow();
    this.dialog.showModal();
    this.confirm.focus();
  }

  private allow(): void {
    if (!this.dialog.open) return;
    const typed = this.confirm.value.trim().toLowerCase() === t("quote.bind.word");
    const look = this.look;
    this.go.disabled = !typed || look?.model.quote?.quote.status !== "quoted" || !look.mayEdit || !look.settled;
  }

  private async send(): Promise<void> {
    const version = this.look?.model.quote?.version;
    if (version === undefined) return;
    this.go.disabled = true;
    const done = await this.ask(part(this.dialog, "bind-said"), () =>
      bindQuote(this.quoteId, version, crypto.randomUUID()),
    );
    if (done) this.dialog.close();
    else this.allow();
  }

  private async ask(place: Element, request: () => Promise<void>): Promise<boolean> {
    setText(place, "");
    try {
      await request();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setText(place, failureWords(error));
      return false;
    }
  }
}
