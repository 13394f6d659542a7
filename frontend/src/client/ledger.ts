/**
 * Requests on their way: waiting to be sent, sent and unanswered; and how fast may be sent. Pure.
 * It must not know rooms or sockets. Overflow policy of the queue: `refuse_newest` - a request that finds the queue full
 * fails at once with `queue_full`; nothing that was accepted is ever dropped silently. A publish with an `op_id` that was
 * sent and not answered before the connection broke is sent again, first: the server knows it by that name. Any other
 * request in doubt fails with `outcome_unknown` and is never sent again: a second time cannot be told from the first.
 */
import type { Action, Failure, Fields, Json } from "./event.ts";
import { local } from "./failure.ts";
import { tooDeep, utf8Bytes } from "./frame.ts";
import type { Limits } from "./wire.ts";

/** As the server's own bound of what one connection may have under way. */
const MAX_IN_FLIGHT = 16;
/** The server answers from memory or with one database write; past this it will not. */
const ANSWER_TIMEOUT_MS = 30_000;
/** The server remembers an `op_id` for five minutes; past this a second time might be a second message. */
const REPEAT_FOR_MS = 240_000;
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

/** A message, and when it was sent first. */
interface Request {
  readonly message: Fields;
  firstMs: number | null;
}

export class Ledger {
  messageBytes = 65_536;
  refused = 0;
  private readonly maxQueue: number;
  private queue = new Map<number, Request>();
  private readonly sent = new Map<number, { op: number; atMs: number; request: Request }>();

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
    this.queue.set(op, { message, firstMs: null });
    return null;
  }

  /** Forgets a request; false if it was sent already. */
  cancel(op: number): boolean {
    const waiting = this.queue.get(op);
    if (waiting !== undefined) {
      this.queue.delete(op);
      return waiting.firstMs === null;
    }
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
    const [op, request] = first;
    this.queue.delete(op);
    request.firstMs ??= nowMs;
    this.sent.set(id, { op, atMs: nowMs, request });
    return request.message;
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
    // Those that are to be sent again lead the queue.
    for (const [op, request] of this.queue) {
      if (request.firstMs === null || nowMs - request.firstMs < REPEAT_FOR_MS) break;
      this.queue.delete(op);
      actions.push(settle(op, local("outcome_unknown")));
    }
    return actions;
  }

  /** When `expire` has something to do. */
  dueMs(): number | null {
    const [oldest] = this.sent.values();
    return oldest === undefined ? null : oldest.atMs + ANSWER_TIMEOUT_MS;
  }

  /** The connection is gone: what was sent is in doubt, or sent again before what was not. */
  lost(): Action[] {
    const actions: Action[] = [];
    const again = new Map<number, Request>();
    for (const { op, request } of this.sent.values()) {
      if (isRepeatable(request.message)) again.set(op, request);
      else actions.push(settle(op, local("outcome_unknown")));
    }
    this.sent.clear();
    this.queue = new Map([...again, ...this.queue]);
    return actions;
  }

  /** Nothing will be sent any more. */
  end(failure: Failure): Action[] {
    const actions = this.lost();
    for (const [op, request] of this.queue) {
      actions.push(settle(op, request.firstMs === null ? failure : local("outcome_unknown")));
    }
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

function isRepeatable(message: Fields): boolean {
  return message["type"] === "publish" && Boolean(message["op_id"]) && !message["volatile"];
}

function settle(op: number, error: Failure): Action {
  return { do: "settle", op, data: null, error };
}
