/**
 * The page's own socket: Socket.IO namespace /admin-ws, typed, with our own reconnect (full jitter, see backoff.ts).
 * It must not know what the page shows; it reports what happened through the callbacks it is given.
 */
import { io, type Socket } from "socket.io-client";

import { type Backoff, connected, FRESH, lost } from "./backoff";
import type { Ack, ErrorObject, Requests, ServerEvents } from "./wire";

export type LinkState =
  | { kind: "connecting" }
  | { kind: "live"; since: number }
  | { kind: "waiting"; since: number; retryAt: number; reason: string }
  | { kind: "ended"; since: number; error: ErrorObject };

export interface ChannelCallbacks {
  /** The link changed; times are Unix milliseconds. */
  link(state: LinkState): void;
  /** Connected anew: options are gone on the server, ask for a snapshot. */
  opened(): void;
}

type Handlers = { [K in keyof ServerEvents]: ServerEvents[K] };
type Emitter = (event: string, data: unknown, ack: (error: Error | null, answer: unknown) => void) => void;

/** An acknowledgement that takes longer than this is reported as an error. */
const ACK_TIMEOUT_MS = 10_000;
// The words of a refusal that no retry can mend (docs/admin-channel.md).
const FINAL = new Set(["unauthorized", "forbidden"]);

export class AdminChannel {
  private readonly socket: Socket;
  private readonly callbacks: ChannelCallbacks;
  private backoff: Backoff = FRESH;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private downSince: number | null = null;

  constructor(callbacks: ChannelCallbacks, handlers: Handlers) {
    this.callbacks = callbacks;
    this.socket = io("/admin-ws", { transports: ["websocket"], reconnection: false, autoConnect: false });
    // Handlers are set before connecting: events may arrive before the connect packet (dashboard.md 2.2, 1).
    for (const [event, handler] of Object.entries(handlers)) this.socket.on(event, handler);
    this.socket.on("connect", () => this.onConnect());
    this.socket.on("disconnect", (reason) => this.onLost(reason));
    this.socket.on("connect_error", (error) => this.onRefused(error));
  }

  get live(): boolean {
    return this.socket.connected;
  }

  /** Connects now; also what "Retry now" does. */
  open(): void {
    clearTimeout(this.timer);
    if (this.socket.active && this.socket.connected) return;
    this.callbacks.link({ kind: "connecting" });
    // A refused namespace leaves the transport up; begin with a fresh handshake, which reads the cookie again.
    this.socket.disconnect();
    this.socket.connect();
  }

  /** Ends the channel for good (logout, page going away). */
  close(): void {
    clearTimeout(this.timer);
    this.socket.disconnect();
  }

  /** Sends `event` and resolves with its acknowledgement; never rejects. */
  ask<K extends keyof Requests>(event: K, data: Requests[K]["send"]): Promise<Ack<Requests[K]["answer"]>> {
    if (!this.socket.connected) return Promise.resolve({ ok: false, error: NOT_CONNECTED });
    return new Promise((resolve) => {
      const timed = this.socket.timeout(ACK_TIMEOUT_MS);
      const emit = timed.emit.bind(timed) as Emitter;
      emit(event, data, (error, answer) => {
        resolve(error === null ? (answer as Ack<Requests[K]["answer"]>) : { ok: false, error: NO_ANSWER });
      });
    });
  }

  private onConnect(): void {
    const now = Date.now();
    this.backoff = connected(this.backoff, now);
    this.downSince = null;
    this.callbacks.link({ kind: "live", since: now });
    this.callbacks.opened();
  }

  private onLost(reason: string): void {
    // Our own disconnect() in open() and close() is not a loss.
    if (reason === "io client disconnect") return;
    this.retryLater(reason);
  }

  private onRefused(error: Error & { data?: Partial<ErrorObject> }): void {
    if (!FINAL.has(error.message)) {
      this.retryLater(error.message);
      return;
    }
    this.socket.disconnect();
    const {
      code = error.message,
      message = error.message,
      required_action = "",
      will_not = "",
      details,
    } = error.data ?? {};
    const refused = { code, message, required_action, will_not, details };
    this.callbacks.link({ kind: "ended", since: Date.now(), error: refused });
  }

  private retryLater(reason: string): void {
    const now = Date.now();
    this.downSince ??= now;
    const { delayMs, backoff } = lost(this.backoff, now, Math.random());
    this.backoff = backoff;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), delayMs);
    this.callbacks.link({ kind: "waiting", since: this.downSince, retryAt: now + delayMs, reason });
  }
}

const NOT_CONNECTED: ErrorObject = {
  code: "not_connected",
  message: "This page is not connected to the server.",
  required_action: "Wait until it is live again, then repeat.",
  will_not: "The request was not sent and will not be sent later.",
};

const NO_ANSWER: ErrorObject = {
  code: "no_answer",
  message: "The server did not answer in 10 seconds.",
  required_action: "Look at the figures to see whether it took effect, then repeat if not.",
  will_not: "The page will not repeat it by itself.",
};
