/** A password that the server made, shown once: it leaves the page with the dialog. It must not know whose it is. */
import { wireCopy } from "./copy";
import { find, part, setText } from "./dom";
import { t } from "./text";

export class PasswordDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#password");
  private readonly text = part(this.dialog, "password-text");
  private closed: () => void = () => {};

  constructor() {
    const copy = part<HTMLButtonElement>(this.dialog, "password-copy");
    wireCopy(copy, '[data-part="password-copy-word"]', () => this.text.textContent ?? "");
    part(this.dialog, "password-done").addEventListener("click", () => this.dialog.close());
    // Not by a slip of the finger: it is not shown again.
    this.dialog.addEventListener("cancel", (event) => event.preventDefault());
    this.dialog.addEventListener("close", () => {
      setText(this.text, "");
      this.closed();
    });
  }

  open(username: string, password: string, closed: () => void = () => {}): void {
    this.closed = closed;
    setText(part(this.dialog, "password-for"), t("users.password.for", { name: username }));
    setText(this.text, password);
    this.dialog.showModal();
  }
}
