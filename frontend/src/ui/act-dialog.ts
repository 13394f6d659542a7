/**
 * Asks before something is done: what it means, a word on why, and for how long where that is a question. It must not
 * know what is done.
 */
import type { Problem } from "../socket/admin-api";
import { find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { t } from "./text";

export interface Act {
  readonly title: string;
  readonly consequence: string;
  readonly label: string;
  readonly go: string;
  /** Whether a word on why is demanded. */
  readonly needsReason: boolean;
  /** Whether a time is chosen. */
  readonly timed?: boolean;
  /** Does it; null when it is done. */
  run(reason: string, seconds: number): Promise<Problem | null>;
}

export class ActDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#act");
  private readonly reason = find<HTMLInputElement>(this.dialog, "#act-reason");
  private readonly seconds = find<HTMLSelectElement>(this.dialog, "#act-seconds");
  private readonly go = part<HTMLButtonElement>(this.dialog, "act-go");
  private readonly failed = part(this.dialog, "act-error");
  private act: Act | null = null;

  constructor() {
    this.reason.addEventListener("input", () => this.check());
    part(this.dialog, "act-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "act-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.confirmed()) void this.send();
    });
  }

  open(act: Act): void {
    this.act = act;
    this.reason.value = "";
    setText(find(this.dialog, "#act-title"), act.title);
    setText(part(this.dialog, "act-what"), act.consequence);
    setText(find(this.dialog, 'label[for="act-reason"]'), act.label);
    setText(this.go, act.go);
    setHidden(part(this.dialog, "act-time"), act.timed !== true);
    setHidden(this.failed, true);
    this.check();
    this.dialog.showModal();
    this.reason.focus();
  }

  private confirmed(): boolean {
    return this.act !== null && (!this.act.needsReason || this.reason.value.trim() !== "");
  }

  private check(): void {
    this.go.disabled = !this.confirmed();
  }

  private async send(): Promise<void> {
    const { act } = this;
    if (act === null) return;
    this.go.disabled = true;
    const problem = await act.run(this.reason.value.trim(), Number(this.seconds.value));
    this.check();
    if (problem === null) this.dialog.close();
    else {
      setText(this.failed, sentencesOf(problem));
      setHidden(this.failed, false);
    }
  }
}

/** What was refused, and what to do. */
export function sentencesOf(problem: Problem): string {
  return problemWords(problem, t("alerts.no_answer"));
}
