/**
 * Asks again and again: a second after each answer unless told otherwise, more and more seldom while nothing answers, not at all in a hidden
 * tab, while paused, or after an answer that is final. It must not know what is asked.
 */
import { isPassing, type Problem } from "../socket/admin-api";
import { type Backoff, connected, FRESH, lost } from "../socket/backoff";
import type { LinkLook } from "./link-pill";

export const EVERY_MS = 1_000;
/** Answers after which asking again is pointless and unwanted: nobody is logged in, or may not look any more. */
const FINAL: readonly number[] = [401, 403];
/** Told to the document when a page may ask no more: what asks beside it stops too. */
export const ENDED = "tidewire:ended";

export class Poller {
  /** The last problem; null after an answer. */
  problem: Problem | null = null;
  private kind: LinkLook["kind"] = "connecting";
  private downSince: number | null = null;
  private retryAt: number | null = null;
  private backoff: Backoff = FRESH;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  private again = false;
  private halted = false;
  private readonly ask: () => Promise<Problem | null>;
  private readonly changed: () => void;

  private readonly everyMs: number;

  /** `ask` asks once, uses the answer, and returns what went wrong. `changed` is called after each change of state. */
  constructor(ask: () => Promise<Problem | null>, changed: () => void, everyMs = EVERY_MS) {
    this.everyMs = everyMs;
    this.ask = ask;
    this.changed = changed;
  }

  get look(): LinkLook {
    return { kind: this.kind, downSince: this.downSince, retryAt: this.retryAt, offline: !navigator.onLine };
  }

  start(): void {
    document.addEventListener("visibilitychange", () => this.comeBack());
    window.addEventListener("online", () => this.comeBack());
    window.addEventListener("offline", () => this.changed());
    this.now();
  }

  /** Asks at once, or right after the answer that is awaited. */
  now(): void {
    clearTimeout(this.timer);
    if (this.kind === "ended" || document.hidden) return;
    if (this.asking) this.again = true;
    else void this.round();
  }

  /** Stops the regular questions; `now` still asks once. */
  pause(halted: boolean): void {
    this.halted = halted;
    if (halted) clearTimeout(this.timer);
    else this.now();
  }

  private comeBack(): void {
    if (!this.halted || this.problem !== null) this.now();
  }

  private async round(): Promise<void> {
    this.asking = true;
    if (this.kind === "waiting") this.kind = "connecting";
    this.changed();
    const problem = await this.ask();
    this.asking = false;
    this.problem = problem;
    const delayMs = problem === null ? this.answered() : this.failed(problem);
    this.changed();
    if (this.again) {
      this.again = false;
      this.now();
    } else if (delayMs !== null && !document.hidden && !(this.halted && problem === null)) {
      this.timer = setTimeout(() => void this.round(), delayMs);
    }
  }

  private answered(): number {
    if (this.kind !== "live") this.backoff = connected(this.backoff, Date.now());
    this.kind = "live";
    this.downSince = null;
    this.retryAt = null;
    return this.everyMs;
  }

  private failed(problem: Problem): number | null {
    if (FINAL.includes(problem.status)) {
      this.kind = "ended";
      this.again = false;
      document.dispatchEvent(new Event(ENDED));
      return null;
    }
    const now = Date.now();
    const next = lost(this.backoff, now, Math.random());
    this.backoff = next.backoff;
    // A refusal is an answer: the server is there, and the page says what it refused.
    this.kind = isPassing(problem) ? "waiting" : "live";
    if (this.kind === "waiting") this.downSince ??= now;
    this.retryAt = now + next.delayMs;
    return next.delayMs;
  }
}
