/** Pausing the feed for everybody: the button and its dialog with the typed confirmation. It must not know the socket. */
import type { ErrorObject } from "../socket/wire";
import { find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";

const CONFIRMATION = "pause feed";

export class PauseFeedDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#pause-feed");
  private readonly confirm = find<HTMLInputElement>(this.dialog, "#pause-confirm");
  private readonly reason = find<HTMLInputElement>(this.dialog, "#pause-reason");
  private readonly go = part<HTMLButtonElement>(this.dialog, "pause-feed-go");
  private readonly failed = part(this.dialog, "pause-feed-error");
  private readonly pause: (reason: string) => Promise<ErrorObject | null>;

  /** `pause` returns null when the server has done it. */
  constructor(pause: (reason: string) => Promise<ErrorObject | null>) {
    this.pause = pause;
    this.confirm.addEventListener("input", () => {
      this.go.disabled = !this.confirmed();
    });
    part(this.dialog, "pause-feed-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "pause-feed-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.confirmed()) void this.send();
    });
  }

  open(): void {
    this.confirm.value = "";
    this.reason.value = "";
    this.go.disabled = true;
    setHidden(this.failed, true);
    this.dialog.showModal();
    this.reason.focus();
  }

  private confirmed(): boolean {
    return this.confirm.value.trim().toLowerCase() === CONFIRMATION;
  }

  private async send(): Promise<void> {
    this.go.disabled = true;
    const error = await this.pause(this.reason.value.trim());
    this.go.disabled = false;
    if (error === null) {
      this.dialog.close();
      return;
    }
    setText(this.failed, problemWords(error));
    setHidden(this.failed, false);
  }
}
