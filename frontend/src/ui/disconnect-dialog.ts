/**
 * Closing connections: what it means, the reason, and for more than one their number typed. It must not know the list or
 * how connections are closed.
 */
import type { Problem } from "../socket/admin-api";
import { find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { count, t } from "./text";

export interface Doomed {
  readonly id: string;
  /** What it is called in words. */
  readonly name: string;
}

export class DisconnectDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#disconnect");
  private readonly reason = find<HTMLInputElement>(this.dialog, "#disconnect-reason");
  private readonly typed = find<HTMLInputElement>(this.dialog, "#disconnect-count");
  private readonly go = part<HTMLButtonElement>(this.dialog, "disconnect-go");
  private readonly failed = part(this.dialog, "disconnect-error");
  private readonly close: (doomed: readonly Doomed[], reason: string) => Promise<Problem | null>;
  private doomed: readonly Doomed[] = [];

  /** `close` returns null when the server has done what could be done, and has said what became of it. */
  constructor(close: (doomed: readonly Doomed[], reason: string) => Promise<Problem | null>) {
    this.close = close;
    for (const field of [this.reason, this.typed]) field.addEventListener("input", () => this.check());
    part(this.dialog, "disconnect-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "disconnect-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.confirmed()) void this.send();
    });
  }

  open(doomed: readonly Doomed[]): void {
    const [first] = doomed;
    if (first === undefined) return;
    this.doomed = doomed;
    this.reason.value = "";
    this.typed.value = "";
    const many = doomed.length > 1;
    const title = many
      ? t("disconnect.many", { count: count(doomed.length) })
      : t("disconnect.one", { name: first.name });
    setText(find(this.dialog, "#disconnect-title"), title);
    setText(part(this.dialog, "disconnect-what"), many ? doomed.map((one) => one.name).join(", ") : "");
    setText(part(this.dialog, "disconnect-count-label"), t("disconnect.count", { count: String(doomed.length) }));
    setHidden(part(this.dialog, "disconnect-count-field"), !many);
    setHidden(this.failed, true);
    this.check();
    this.dialog.showModal();
    this.reason.focus();
  }

  private confirmed(): boolean {
    const counted = this.doomed.length === 1 || this.typed.value.trim() === String(this.doomed.length);
    return this.reason.value.trim() !== "" && counted;
  }

  private check(): void {
    this.go.disabled = !this.confirmed();
  }

  private async send(): Promise<void> {
    this.go.disabled = true;
    const problem = await this.close(this.doomed, this.reason.value.trim());
    if (problem === null) {
      this.dialog.close();
      return;
    }
    this.check();
    setText(this.failed, problemWords(problem, t("disconnect.no_answer")));
    setHidden(this.failed, false);
  }
}
