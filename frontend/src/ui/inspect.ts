/** The dialog on one tick: raw frame, decoded, verdict, timings, copy as JSON. It must not know the socket. */
import type { Ack, Inspection, Tick } from "../socket/wire";
import { wireCopy } from "./copy";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { bytes, clockMs, exact, milliseconds, price, t, word } from "./text";

const STEPS = ["exchange", "received", "published", "seen"] as const;

export class InspectDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#inspect");
  private shown: Inspection | null = null;
  private asked = 0;
  private readonly ask: (id: number) => Promise<Ack<Inspection>>;

  constructor(ask: (id: number) => Promise<Ack<Inspection>>) {
    this.ask = ask;
    wireCopy(part<HTMLButtonElement>(this.dialog, "inspect-copy"), '[data-part="inspect-copy-word"]', () =>
      JSON.stringify(this.shown, null, 2),
    );
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  async open(tick: Tick): Promise<void> {
    this.asked += 1;
    const mine = this.asked;
    this.shown = null;
    setHidden(part(this.dialog, "inspect-wait"), false);
    setHidden(part(this.dialog, "inspect-error"), true);
    setHidden(part(this.dialog, "inspect-found"), true);
    if (!this.dialog.open) this.dialog.showModal();
    const answer = await this.ask(tick.id);
    // Another tick was asked for meanwhile; its answer counts.
    if (mine !== this.asked) return;
    setHidden(part(this.dialog, "inspect-wait"), true);
    if (answer.ok) this.show(answer);
    else {
      const box = part(this.dialog, "inspect-error");
      setText(box, problemWords(answer.error));
      setHidden(box, false);
    }
  }

  private show(found: Inspection): void {
    this.shown = found;
    const text = (name: string, words: string): void => setText(part(this.dialog, name), words);
    text("inspect-symbol", found.tick.symbol);
    text("inspect-price", price(found.tick.price));
    text("inspect-origin", word("inspect.origin", found.origin));
    // "valid", or "valid (the last of 2 events ...)", or what is wrong.
    const valid = found.verdict.startsWith("valid");
    const note = found.verdict.slice("valid".length);
    text("inspect-verdict", valid ? t("inspect.valid") + note : t("inspect.invalid", { verdict: found.verdict }));
    setAttribute(part(this.dialog, "inspect-verdict"), "data-tone", valid ? "ok" : "error");
    text("inspect-decoded", found.decoded === null ? t("inspect.not_decoded") : pretty(found.decoded));
    text("inspect-event", found.event_raw === null ? t("inspect.no_event") : found.event_raw);
    text("inspect-raw", found.raw);
    const size = bytes(found.raw_bytes);
    text("inspect-size", t(found.truncated ? "inspect.truncated" : "inspect.size", { bytes: size }));
    part(this.dialog, "inspect-timings").replaceChildren(...timingRows(found));
    setHidden(part(this.dialog, "inspect-found"), false);
  }
}

/** Each step with its time and what it took since the step before. */
function timingRows(found: Inspection): HTMLElement[] {
  let before: number | null = null;
  return STEPS.map((step) => {
    const at = found.timings[step] ?? null;
    const took = at !== null && before !== null ? since((at - before) * 1000) : "";
    if (at !== null) before = at;
    return element(
      "li",
      {},
      element("span", { class: "timing-name" }, t(`inspect.${step}`)),
      element("time", { title: exact(at) }, at === null ? t("inspect.unknown") : clockMs(at)),
      element("span", { class: "timing-took" }, took),
    );
  });
}

/** What a step took; less than nothing if the two clocks disagree. */
function since(tookMs: number): string {
  return `${tookMs < 0 ? "−" : "+"}${milliseconds(Math.abs(tookMs))}`;
}

/** JSON text with line breaks; anything else as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
