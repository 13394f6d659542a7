/**
 * The client's whole conversation as a state machine: what came in and when -> what is to be done. Pure.
 * It must not know sockets, timers or clocks: the carrier calls a method for everything that happens, carries out the
 * returned actions in order, and calls `tick` at `dueMs()`. The Python client is the same machine.
 * Source: docs/protocol.md; contract.md section 5.
 */
import type { Action, Failure, Fields } from "./event.ts";
import { local } from "./failure.ts";
import { type Body, FrameFault, read, readFrame, readReply } from "./frame.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Ledger } from "./ledger.ts";
import { Outgoing } from "./outgoing.ts";
import { endOf, judge, judgeStatus, type Reconnect, Retry } from "./retry.ts";
import { Rooms } from "./rooms.ts";
import {
  BATCH,
  CLOSE_FAULT,
  CLOSE_SILENT,
  CONNECT_TIMEOUT_MS,
  NO_CLOSE_FRAME,
  type SessionOptions,
  STATE_INVALIDATED,
  type State,
  TOKEN_EXPIRED,
} from "./state.ts";
import { TokenWatch } from "./token.ts";
import type { Connection, Gap, RoomEvent, Since, Subscribed, Unsubscribed } from "./wire.ts";
import { CONNECTION_SHAPE, GAP_SHAPE, ROOM_EVENT_SHAPE, SUBSCRIBED_SHAPE, UNSUBSCRIBED_SHAPE } from "./wire-shapes.ts";

export class Session {
  state: State = "idle";
  readonly rooms = new Rooms();
  private readonly options: SessionOptions;
  private readonly ledger: Ledger;
  private readonly outgoing: Outgoing;
  private readonly retry = new Retry();
  private readonly heartbeat = new Heartbeat();
  private readonly tokenWatch = new TokenWatch();
  private due = 0;
  private batch = false;
  private sequence = 0;
  private credential: string | null = null;
  private authId: number | null = null;
  private refreshId: number | null = null;
  private closing: Connection | null = null;
  private drainedMs: number | null = null;

  constructor(options: SessionOptions) {
    this.options = options;
    this.ledger = new Ledger(options.maxQueue);
    this.outgoing = new Outgoing(this.rooms, this.ledger);
  }

  // ---- what the program wants

  /** Connects, and stays connected. */
  start(nowMs: number): Action[] {
    if (this.state === "idle") this.begin(nowMs);
    return this.outgoing.take();
  }

  /** Ends for good. */
  stop(_nowMs: number): Action[] {
    if (this.state !== "ended") {
      if (this.online) this.act({ do: "close", code: 1000, reason: "client_closed" });
      this.end(1000, "client_closed", null);
    }
    return this.outgoing.take();
  }

  /** Does not wait any longer for the next attempt, e.g. because the network is back. */
  nudge(nowMs: number): Action[] {
    if (this.state === "waiting") this.begin(nowMs);
    return this.outgoing.take();
  }

  /** Enters a room and stays in it. Once per room. */
  subscribe(roomId: string, since: Since | null, presence: boolean, nowMs: number): Action[] {
    if (this.state === "ended") return [{ do: "room_ended", roomId, error: local("client_closed") }];
    if (this.rooms.has(roomId)) return [{ do: "room_ended", roomId, error: local("already_subscribed") }];
    this.rooms.add(roomId, since, presence);
    return this.flush(nowMs);
  }

  /** Leaves a room. */
  unsubscribe(roomId: string, nowMs: number): Action[] {
    if (this.rooms.has(roomId)) this.act({ do: "room_ended", roomId, error: null });
    if (this.rooms.remove(roomId)) this.outgoing.leave(roomId, nowMs);
    return this.outgoing.take();
  }

  /** The room's consumer is behind: leaves, to come back with `since`. */
  pause(roomId: string, nowMs: number): Action[] {
    if (this.rooms.pause(roomId)) this.outgoing.leave(roomId, nowMs);
    return this.outgoing.take();
  }

  /** The room's consumer has caught up. */
  resume(roomId: string, nowMs: number): Action[] {
    this.rooms.resume(roomId);
    return this.flush(nowMs);
  }

  /** Sends a message that is answered by a reply; it waits in a bounded queue while there is no connection. */
  request(op: number, message: Fields, nowMs: number): Action[] {
    if (this.state === "ended") return [{ do: "settle", op, data: null, error: local("client_closed") }];
    const refused = this.ledger.offer(op, message);
    return refused === null ? this.flush(nowMs) : [refused];
  }

  /** Forgets a request; true if it was never sent. */
  cancel(op: number): boolean {
    return this.ledger.cancel(op);
  }

  // ---- what the carrier reports

  /** A token has been fetched. */
  token(value: string, nowMs: number): Action[] {
    if (this.state === "fetching") {
      this.credential = value;
      this.connect(nowMs);
    } else if (this.state === "ready" && this.tokenWatch.fetching && this.refreshId === null) {
      this.refreshId = this.outgoing.send({ type: "auth_refresh", token: value }, nowMs);
    }
    return this.outgoing.take();
  }

  /** No token could be fetched; `final` if there will never be one. */
  tokenFailed(reason: string, final: boolean, nowMs: number): Action[] {
    if (this.state === "fetching") {
      if (final) this.end(null, reason, local(reason));
      else this.wait("backoff", null, null, reason, nowMs);
    } else if (this.state === "ready" && this.tokenWatch.fetching) this.tokenWatch.fail(nowMs);
    return this.outgoing.take();
  }

  /** The WebSocket handshake is done. */
  opened(subprotocol: string | null, nowMs: number): Action[] {
    if (this.state === "connecting") {
      this.batch = subprotocol === BATCH;
      if (this.credential !== null) {
        this.authId = this.outgoing.send({ type: "authenticate", token: this.credential }, nowMs);
      }
    }
    return this.outgoing.take();
  }

  /** A text frame came. */
  received(text: string, nowMs: number): Action[] {
    if (!this.online) return [];
    this.heartbeat.alive(nowMs);
    try {
      for (const [sequence, body] of readFrame(text, this.batch)) {
        if (sequence !== this.sequence + 1) throw new FrameFault("sequence_hole");
        this.sequence = sequence;
        this.apply(body, nowMs);
        if (!this.online) break;
      }
    } catch (error) {
      if (!(error instanceof FrameFault)) throw error;
      this.fault(CLOSE_FAULT, error.message, nowMs);
    }
    return this.flush(nowMs);
  }

  /** The socket is gone; `code` from its close frame, 1006 without one. */
  lost(code: number, reason: string, nowMs: number): Action[] {
    if (this.online) this.disconnect(code, reason || null, nowMs);
    return this.outgoing.take();
  }

  /** The handshake was answered with an HTTP status instead of the upgrade (browsers do not tell which). */
  refused(status: number, retryAfterMs: number | null, nowMs: number): Action[] {
    if (this.state === "connecting") {
      if (judgeStatus(status) === "never") this.end(status, "handshake_refused", local("handshake_refused"));
      else this.wait("backoff", retryAfterMs, status, "handshake_refused", nowMs);
    }
    return this.outgoing.take();
  }

  /** Does what is due. */
  tick(nowMs: number): Action[] {
    if (this.state === "waiting" && nowMs >= this.due) this.begin(nowMs);
    else if (this.state === "connecting" && nowMs >= this.due) this.fault(CLOSE_SILENT, "connect_timeout", nowMs);
    else if (this.state === "ready") this.tickReady(nowMs);
    return this.outgoing.take();
  }

  /** When `tick` must be called next; null if only events can change anything. */
  dueMs(): number | null {
    if (this.state === "waiting" || this.state === "connecting") return this.due;
    if (this.state !== "ready") return null;
    const times = [
      this.heartbeat.dueMs(),
      this.ledger.dueMs(),
      this.outgoing.blocked ? this.outgoing.pacer.dueMs() : this.rooms.dueMs(),
      this.options.withToken ? this.tokenWatch.dueMs() : null,
    ];
    return Math.min(...times.filter((time) => time !== null));
  }

  // ---- the connection's life

  private get online(): boolean {
    return this.state === "connecting" || this.state === "ready";
  }

  private act(...actions: Action[]): void {
    this.outgoing.actions.push(...actions);
  }

  private begin(nowMs: number): void {
    this.credential = null;
    this.act({ do: "link", link: { state: "connecting" } });
    if (this.options.withToken) {
      // Tokens are good for one connection, so each attempt needs its own.
      this.state = "fetching";
      this.act({ do: "fetch_token", purpose: "connect" });
    } else this.connect(nowMs);
  }

  private connect(nowMs: number): void {
    this.state = "connecting";
    this.due = nowMs + CONNECT_TIMEOUT_MS;
    this.sequence = 0;
    this.authId = this.refreshId = this.closing = this.drainedMs = null;
    this.act({ do: "connect" });
  }

  /** The server broke the protocol or fell silent: connects anew and resumes. */
  private fault(code: number, reason: string, nowMs: number): void {
    this.act({ do: "close", code, reason });
    this.disconnect(NO_CLOSE_FRAME, reason, nowMs);
  }

  private disconnect(lostCode: number, lostReason: string | null, nowMs: number): void {
    const { code, reason, word, hint } = endOf(this.closing, lostCode, lostReason);
    const hintMs = hint ?? (this.drainedMs === null ? null : this.drainedMs - nowMs);
    const action = judge(code, word);
    if (code === STATE_INVALIDATED) this.rooms.forget();
    if (action === "never" || (action === "new_token" && !this.options.withToken)) {
      this.end(code, reason, local(reason || "closed"));
    } else this.wait(action, hintMs, code, reason, nowMs);
  }

  private wait(
    action: Reconnect,
    hintMs: number | null,
    code: number | null,
    reason: string | null,
    nowMs: number,
  ): void {
    this.retry.lost(nowMs);
    this.drop();
    this.rooms.lost();
    const retryInMs = this.retry.delayMs(action, hintMs, this.options.draw());
    this.state = "waiting";
    this.due = nowMs + retryInMs;
    this.act({ do: "link", link: { state: "waiting", retryInMs, code, reason } });
  }

  private end(code: number | null, reason: string | null, failure: Failure | null): void {
    this.state = "ended";
    this.drop();
    this.act(...this.ledger.end(failure ?? local("client_closed")), ...this.rooms.end(failure));
    this.act({ do: "link", link: { state: "ended", code, reason } });
  }

  private drop(): void {
    this.tokenWatch.reset();
    this.outgoing.blocked = false;
    this.act(...this.ledger.lost());
  }

  private tickReady(nowMs: number): void {
    const verdict = this.heartbeat.look(nowMs);
    if (verdict === "dead") {
      this.fault(CLOSE_SILENT, "silence", nowMs);
      return;
    }
    if (verdict === "probe") this.outgoing.ping(this.sequence, nowMs);
    const dueMs = this.tokenWatch.dueMs();
    if (this.options.withToken && dueMs !== null && dueMs <= nowMs) {
      this.tokenWatch.fetching = true;
      this.act({ do: "fetch_token", purpose: "refresh" });
    }
    this.act(...this.ledger.expire(nowMs));
    this.outgoing.fill(nowMs);
  }

  private flush(nowMs: number): Action[] {
    if (this.state === "ready") this.outgoing.fill(nowMs);
    return this.outgoing.take();
  }

  // ---- messages

  private apply(body: Body, nowMs: number): void {
    switch (body.type) {
      case "connection":
        this.connection(read<Connection>(body, CONNECTION_SHAPE), nowMs);
        return;
      case "reply":
        this.reply(body, nowMs);
        return;
      case "subscribed": {
        const answer = read<Subscribed>(body, SUBSCRIBED_SHAPE);
        this.act(...this.rooms.subscribed(answer));
        this.pauseIfDue(answer.room_id, nowMs);
        return;
      }
      case "unsubscribed":
        this.act(...this.rooms.unsubscribed(read<Unsubscribed>(body, UNSUBSCRIBED_SHAPE)));
        return;
      case "room_event":
        this.act(...this.rooms.presence(read<RoomEvent>(body, ROOM_EVENT_SHAPE)));
        return;
      case "gap":
        this.rooms.gap(read<Gap>(body, GAP_SHAPE));
        return;
      case "heartbeat":
        // Any frame would do as an answer; this one also tells the server how far we have read.
        if (this.state === "ready") this.outgoing.ping(this.sequence, nowMs);
        return;
      case "pong":
        return;
      default:
        this.feature(body, nowMs);
    }
  }

  /** Every type that is not the protocol's own belongs to a feature. */
  private feature(body: Body, nowMs: number): void {
    const roomId = body["room_id"];
    if (typeof roomId === "string") {
      this.act(...this.rooms.message(roomId, body));
      this.pauseIfDue(roomId, nowMs);
      return;
    }
    const { type: kind, ...fields } = body;
    this.act({ do: "note", kind, fields });
  }

  private connection(message: Connection, nowMs: number): void {
    if (message.status === "connected") this.connected(message, nowMs);
    else if (message.status === "refreshed") {
      this.refreshId = null;
      this.tokenWatch.learn(message.token_expires_at ?? null, message.timestamp, nowMs);
    } else if (message.status === "token_expiring") this.tokenWatch.hurry(nowMs);
    else if (message.status === "closing") this.closing = message;
    else if (typeof message.reconnect_after_ms === "number") this.drainedMs = nowMs + message.reconnect_after_ms;
  }

  private connected(message: Connection, nowMs: number): void {
    const user = message.user ?? null;
    // With a token but without a user: anonymous for now, the answer to our token is still to come.
    if (this.state !== "connecting" || (this.credential !== null && user === null)) return;
    const { username = null } = this.options;
    if (username !== null && user?.username !== username) {
      this.act({ do: "close", code: 1000, reason: "other_user" });
      this.end(null, "other_user", local("other_user"));
      return;
    }
    this.state = "ready";
    this.retry.terms = message.reconnect_terms ?? this.retry.terms;
    this.retry.ready(nowMs);
    this.heartbeat.begin(message.heartbeat ?? null, nowMs);
    this.outgoing.pacer.begin(message.limits ?? null, nowMs);
    this.ledger.messageBytes = message.limits?.message_bytes ?? this.ledger.messageBytes;
    this.tokenWatch.learn(message.token_expires_at ?? null, message.timestamp, nowMs);
    this.rooms.begin(user === null ? null : `user:${user.user_id}`);
    this.act({ do: "link", link: { state: "connected", connectionId: message.connection_id ?? null, user } });
  }

  private reply(body: Body, nowMs: number): void {
    const { id, data, failure } = readReply(body);
    if (id === null) return;
    if (id === this.authId) {
      if (failure !== null) {
        this.act({ do: "close", code: 1000, reason: failure.code });
        this.disconnect(TOKEN_EXPIRED, failure.code, nowMs);
      }
      return;
    }
    if (id === this.refreshId) {
      this.refreshId = null;
      if (failure !== null) this.tokenWatch.fail(nowMs);
      return;
    }
    const actions = this.rooms.reply(id, failure, nowMs);
    const settled = actions === null ? this.ledger.answer(id, data, failure) : null;
    this.act(...(actions ?? []), ...(settled === null ? [] : [settled]));
  }

  private pauseIfDue(roomId: string, nowMs: number): void {
    if (this.rooms.toPause(roomId) && this.rooms.pause(roomId)) this.outgoing.leave(roomId, nowMs);
  }
}
