/**
 * Carries a session over real sockets: dials, reads, writes, keeps time, fetches tokens. One socket at a time.
 * It must not decide anything: what happened goes into the session, what comes out is carried out in order.
 */
import type { Action } from "./event.ts";
import { ClientError } from "./failure.ts";
import type { Host, SocketLike } from "./host.ts";
import type { Session } from "./session.ts";
import { NO_CLOSE_FRAME } from "./state.ts";

/** The longest delay that setTimeout takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface CarrierOptions {
  readonly url: string;
  readonly subprotocols: readonly string[];
  readonly host: Host;
  /** Called with every action that is not about the socket. */
  readonly tell: (action: Action) => void;
  readonly fetchToken: (() => Promise<string>) | null;
}

export class Carrier {
  readonly session: Session;
  private readonly options: CarrierOptions;
  private socket: SocketLike | null = null;
  private readonly todo: Action[] = [];
  private acting = false;
  private timer: unknown = null;
  private armedMs = Number.POSITIVE_INFINITY;

  constructor(session: Session, options: CarrierOptions) {
    this.session = session;
    this.options = options;
  }

  now(): number {
    return this.options.host.now();
  }

  /** Carries out actions in order, also those that come up meanwhile. */
  act(actions: readonly Action[]): void {
    this.todo.push(...actions);
    if (this.acting) return;
    this.acting = true;
    try {
      for (let action = this.todo.shift(); action !== undefined; action = this.todo.shift()) this.do(action);
    } finally {
      this.acting = false;
    }
    this.arm();
  }

  private do(action: Action): void {
    if (action.do === "connect") this.dial();
    else if (action.do === "fetch_token") void this.fetch();
    else if (action.do === "send") this.socket?.send(action.text);
    else if (action.do === "close") this.drop(action.code, action.reason);
    else {
      try {
        this.options.tell(action);
      } catch (error) {
        // A listener of the program threw: its own fault, to be seen as such, and no reason to lose the next action.
        this.options.host.setTimeout(() => {
          throw error;
        }, 0);
      }
    }
  }

  private arm(): void {
    const dueMs = this.session.dueMs() ?? Number.POSITIVE_INFINITY;
    // A later due time does not touch the timer: it fires early, finds nothing, and is set anew. Frames stay cheap.
    if (dueMs >= this.armedMs && this.session.state !== "ended") return;
    this.options.host.clearTimeout(this.timer);
    this.armedMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(Math.max(0, dueMs - this.now()), MAX_TIMER_MS);
    this.timer = this.options.host.setTimeout(() => {
      this.armedMs = Number.POSITIVE_INFINITY;
      this.act(this.session.tick(this.now()));
    }, delayMs);
  }

  private dial(): void {
    let socket: SocketLike;
    try {
      socket = this.options.host.open(this.options.url, this.options.subprotocols);
    } catch {
      // A URL that cannot be one, or a page that may not connect there: no later attempt can differ.
      this.act(this.session.refused(400, null, this.now()));
      return;
    }
    this.socket = socket;
    socket.onopen = () => this.report(socket, (nowMs) => this.session.opened(socket.protocol || null, nowMs));
    socket.onmessage = ({ data }) => {
      // A binary frame is no frame of this protocol; the session says so.
      const text = typeof data === "string" ? data : "";
      this.report(socket, (nowMs) => this.session.received(text, nowMs));
    };
    socket.onclose = ({ code, reason }) => {
      this.report(socket, (nowMs) => {
        this.socket = null;
        return this.session.lost(code || NO_CLOSE_FRAME, reason, nowMs);
      });
    };
    // What went wrong is not told to scripts; the close event that follows is what counts.
    socket.onerror = () => undefined;
  }

  /** Tells the session, unless it has given this socket up. */
  private report(socket: SocketLike, happened: (nowMs: number) => Action[]): void {
    if (socket === this.socket) this.act(happened(this.now()));
  }

  private drop(code: number, reason: string): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close(code, reason);
  }

  private async fetch(): Promise<void> {
    const fetchToken = this.options.fetchToken;
    if (fetchToken === null) return;
    try {
      const value = await fetchToken();
      this.act(this.session.token(value, this.now()));
    } catch (error) {
      const known = error instanceof ClientError ? error : null;
      const final = known !== null && !known.temporary;
      this.act(this.session.tokenFailed(known?.code ?? "token_unavailable", final, this.now()));
    }
  }
}
