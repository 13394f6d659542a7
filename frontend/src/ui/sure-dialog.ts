/** Asks once, with the consequence in words, and keeps the answer's problem in sight. It must not know what is done. */
import type { Problem } from "../socket/admin-api";
import { find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { t } from "./text";

export interface Question {
  readonly title: string;
  readonly text: string;
  readonly go: string;
  /** Whether a new password is asked for; an empty one has the server make it. */
  readonly password?: boolean;
  run(password: string): Promise<Problem | null>;
}

export class SureDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#sure");
  private readonly go = part<HTMLButtonElement>(this.dialog, "sure-go");
  private readonly failed = part(this.dialog, "sure-error");
  private readonly password = find<HTMLInputElement>(this.dialog, "#sure-password");
  private question: Question | null = null;

  constructor() {
    part(this.dialog, "sure-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => {
      this.password.value = "";
    });
    this.go.addEventListener("click", () => void this.run());
  }

  ask(question: Question): void {
    this.question = question;
    setText(part(this.dialog, "sure-title"), question.title);
    setText(part(this.dialog, "sure-text"), question.text);
    setText(this.go, question.go);
    setHidden(part(this.dialog, "sure-password-field"), question.password !== true);
    setHidden(this.failed, true);
    this.go.disabled = false;
    this.dialog.showModal();
  }

  private async run(): Promise<void> {
    const { question } = this;
    if (question === null) return;
    this.go.disabled = true;
    const password = this.password.value;
    const problem = await question.run(password);
    this.go.disabled = false;
    if (problem === null) this.dialog.close();
    else {
      setText(this.failed, problemWords(problem, t("disconnect.no_answer")));
      setHidden(this.failed, false);
    }
  }
}
