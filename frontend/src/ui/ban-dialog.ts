/**
 * Banning: whom, how long, why; for more than one their number typed, and for oneself the words. It must not know the page
 * behind it.
 */
import type { Problem } from "../socket/admin-api";
import { ban, type BanAnswer } from "../socket/bans-api";
import { find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { count, t } from "./text";

export interface Outlaws {
  readonly users: readonly string[];
  readonly addresses: readonly string[];
}

export class BanDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#ban");
  private readonly users = find<HTMLTextAreaElement>(this.dialog, "#ban-users");
  private readonly addresses = find<HTMLTextAreaElement>(this.dialog, "#ban-addresses");
  private readonly lasts = find<HTMLSelectElement>(this.dialog, "#ban-for");
  private readonly reason = find<HTMLInputElement>(this.dialog, "#ban-reason");
  private readonly typed = find<HTMLInputElement>(this.dialog, "#ban-count");
  private readonly self = find<HTMLInputElement>(this.dialog, "#ban-self");
  private readonly go = part<HTMLButtonElement>(this.dialog, "ban-go");
  private readonly failed = part(this.dialog, "ban-error");
  private readonly done: (answer: BanAnswer) => void;

  /** `done` is told what the server has done. */
  constructor(done: (answer: BanAnswer) => void) {
    this.done = done;
    for (const field of [this.users, this.addresses, this.reason, this.typed, this.self]) {
      field.addEventListener("input", () => this.check());
    }
    part(this.dialog, "ban-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "ban-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.confirmed()) void this.send();
    });
  }

  open(whom: Outlaws): void {
    this.users.value = [...new Set(whom.users)].join(", ");
    this.addresses.value = [...new Set(whom.addresses)].join(", ");
    this.reason.value = this.typed.value = this.self.value = "";
    setHidden(part(this.dialog, "ban-self-field"), true);
    setHidden(this.failed, true);
    this.check();
    this.dialog.showModal();
    (this.count() === 0 ? this.addresses : this.reason).focus();
  }

  private count(): number {
    return words(this.users.value).length + words(this.addresses.value).length;
  }

  private confirmed(): boolean {
    const counted = this.count() === 1 || this.typed.value.trim() === String(this.count());
    return this.count() > 0 && counted && this.reason.value.trim() !== "";
  }

  private check(): void {
    const many = this.count() > 1;
    setHidden(part(this.dialog, "ban-count-field"), !many);
    setText(part(this.dialog, "ban-count-label"), t("disconnect.count", { count: String(this.count()) }));
    this.go.disabled = !this.confirmed();
  }

  private async send(): Promise<void> {
    this.go.disabled = true;
    const reply = await ban({
      users: words(this.users.value),
      addresses: words(this.addresses.value),
      count: this.count(),
      reason: this.reason.value.trim(),
      seconds: this.lasts.value === "" ? null : Number(this.lasts.value),
      confirm: this.self.value.trim(),
    });
    this.check();
    if (reply.ok) {
      this.dialog.close();
      this.done(reply.value);
      return;
    }
    this.say(reply.problem);
  }

  private say(problem: Problem): void {
    if (problem.code === "ban_hits_you") {
      setHidden(part(this.dialog, "ban-self-field"), false);
      this.self.focus();
    }
    setText(this.failed, problemWords(problem, t("ban.no_answer")));
    setHidden(this.failed, false);
  }
}

/** What became of it, in words. */
export function banned(answer: BanAnswer): { title: string; text: string; tone: "info" | "warn" } {
  const figures = { count: count(answer.bans.length), closed: count(answer.closed) };
  const nodes = answer.silent.map((node) => node.node).join(", ") || answer.cut_off;
  return {
    title: t("ban.done", figures),
    text: answer.complete ? "" : t("ban.incomplete", { nodes }),
    tone: answer.complete ? "info" : "warn",
  };
}

function words(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((word) => word !== ""))];
}
