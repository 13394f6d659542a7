/**
 * Requests on their way: waiting to be sent, sent and unanswered; and how fast may be sent. Pure.
 * It must not know rooms or sockets. Overflow policy of the queue: `refuse_newest` - a request that finds the queue full
 * fails at once with `queue_full`; nothing that was accepted is ever dropped silently. A request that was sent and not
 * answered fails with `outcome_unknown` and is never sent again: the protocol cannot tell a second time from the first.
 */
import type { Action, Failure, Fields, Json } from "./event.ts";
import { local } from "./failure.ts";
import { tooDeep, utf8Bytes } from "./frame.ts";
import type { Limits } from "./wire.ts";

/** As the server's own bound of what one connection may have under way. */
const MAX_IN_FLIGHT = 16;
/** The server answers from memory or with one database write; past this it will not. */
const ANSWER_TIMEOUT_MS = 30_000;
/** What a message grows by when it gets its id. */
const ID_BYTES = 40;

/** A token bucket a little below the server's limits, so that a reconnect with many rooms is not refused. */
export class Pacer {
  private ratePerMs = 0.045;
  private burst = 90;
  private tokens = 90;
  private atMs = 0;

  /** A connection is up; its bucket is full on the server, too. */
  begin(limits: Limits | null, nowMs: number): void {
    if (limits !== null) {
      this.ratePerMs = (limits.messages_per_second * 0.9) / 1000;
      this.burst = Math.max(1, Math.floor(limits.burst * 0.9));
    }
    this.tokens = this.burst;
    this.atMs = nowMs;
  }

  /** Uses one message; false if it must wait. `force` is for the few that cannot: a ping, a refresh. */
  take(nowMs: number, force = false): boolean {
    this.tokens = Math.min(this.burst, this.tokens + (nowMs - this.atMs) * this.ratePerMs);
    this.atMs = nowMs;
    if (this.tokens < 1 && !force) return false;
    this.tokens--;
    return true;
  }

  /** When the next message may go. */
  dueMs(): number {
    return this.atMs + Math.max(1, Math.ceil((1 - this.tokens) / this.ratePerMs));
  }
}

export class Ledger {
  messageBytes = 65_536;
  refused = 0;
  private readonly maxQueue: number;
  private readonly queue = new Map<number, Fields>();
  private readonly sent = new Map<number, { op: number; atMs: number }>();

  constructor(maxQueue: number) {
    this.maxQueue = maxQueue;
  }

  /** Takes a request, or says at once why not. */
  offer(op: number, message: Fields): Action | null {
    const code = this.fault(message);
    if (code !== null) {
      this.refused++;
      return settle(op, local(code));
    }
    this.queue.set(op, message);
    return null;
  }

  /** Forgets a request; false if it was sent already. */
  cancel(op: number): boolean {
    if (this.queue.delete(op)) return true;
    for (const [id, entry] of this.sent) if (entry.op === op) this.sent.delete(id);
    return false;
  }

  /** Whether a request could be sent now. */
  get waiting(): boolean {
    return this.queue.size > 0 && this.sent.size < MAX_IN_FLIGHT;
  }

  /** Returns the oldest waiting request and counts it as sent; null if none could be. */
  next(id: number, nowMs: number): Fields | null {
    const [first] = this.queue;
    if (first === undefined) return null;
    const [op, message] = first;
    this.queue.delete(op);
    this.sent.set(id, { op, atMs: nowMs });
    return message;
  }

  /** Settles the request that a reply belongs to; null if it is none of ours, or was cancelled. */
  answer(id: number, data: Json, error: Failure | null): Action | null {
    const entry = this.sent.get(id);
    this.sent.delete(id);
    return entry === undefined ? null : { do: "settle", op: entry.op, data, error };
  }

  /** Gives up on requests that were not answered in time. */
  expire(nowMs: number): Action[] {
    const actions: Action[] = [];
    for (const [id, entry] of this.sent) {
      if (nowMs - entry.atMs < ANSWER_TIMEOUT_MS) break;
      this.sent.delete(id);
      actions.push(settle(entry.op, local("outcome_unknown")));
    }
    return actions;
  }

  /** When `expire` has something to do. */
  dueMs(): number | null {
    const [oldest] = this.sent.values();
    return oldest === undefined ? null : oldest.atMs + ANSWER_TIMEOUT_MS;
  }

  /** The connection is gone: what was sent is in doubt; what was not stays. */
  lost(): Action[] {
    const actions = [...this.sent.values()].map((entry) => settle(entry.op, local("outcome_unknown")));
    this.sent.clear();
    return actions;
  }

  /** Nothing will be sent any more. */
  end(failure: Failure): Action[] {
    const actions = [...this.lost(), ...[...this.queue.keys()].map((op) => settle(op, failure))];
    this.queue.clear();
    return actions;
  }

  private fault(message: Fields): string | null {
    if (this.queue.size >= this.maxQueue) return "queue_full";
    if (tooDeep(message)) return "bad_request";
    let text: string;
    try {
      text = JSON.stringify(message);
    } catch {
      return "bad_request";
    }
    return utf8Bytes(text) + ID_BYTES > this.messageBytes ? "too_large" : null;
  }
}

function settle(op: number, error: Failure): Action {
  return { do: "settle", op, data: null, error };
}
