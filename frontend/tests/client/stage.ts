/** A scripted WebSocket and hand-driven time for the client's carrier. Node's own timers are not touched. */
import type { Host, SocketLike } from "../../src/client/host.ts";

export class ScriptedSocket implements SocketLike {
  protocol = "tidewire.v1.batch";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];
  closed: { code: number; reason: string } | null = null;
  private sequence = 0;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason };
  }

  /** Opens, greets as user 1 and enters nothing. */
  greet(): this {
    this.onopen?.();
    const user = { user_id: 1, username: "ada", role: "user", permissions: [] };
    return this.say({ type: "connection", status: "connected", timestamp: 1, connection_id: "c-1", user });
  }

  /** Says messages in one frame. */
  say(...messages: object[]): this {
    const lines = messages.map((message) => JSON.stringify(message));
    this.onmessage?.({ data: [this.sequence + 1, ...lines].join("\n") });
    this.sequence += messages.length;
    return this;
  }

  /** Lets the client into a room. */
  enter(roomId: string, offset: number, recovered = false, ...replay: object[]): this {
    const answer = { type: "subscribed", room_id: roomId, epoch: "e", offset, recovered, delivery: "lossless" };
    return this.say(
      { ...answer, replayed: replay.length, ...(recovered ? {} : { reason: "not_requested" }) },
      ...replay,
    );
  }

  lose(code = 1006): void {
    this.onclose?.({ code, reason: "" });
  }
}

export function message(roomId: string, offset: number): object {
  return { type: "room_message", room_id: roomId, epoch: "e", offset, timestamp: 1, data: offset };
}

export class Stage implements Host {
  readonly sockets: ScriptedSocket[] = [];
  readonly urls: string[] = [];
  time = 0;
  refuseUrl = false;
  private readonly timers = new Map<number, { at: number; run: () => void }>();
  private last = 0;

  readonly now = (): number => this.time;
  readonly random = (): number => 0.5;

  readonly setTimeout = (run: () => void, delayMs: number): number => {
    this.timers.set(++this.last, { at: this.time + delayMs, run });
    return this.last;
  };

  readonly clearTimeout = (timer: unknown): void => {
    this.timers.delete(timer as number);
  };

  readonly open = (url: string): SocketLike => {
    if (this.refuseUrl) throw new SyntaxError("not a URL");
    this.urls.push(url);
    const socket = new ScriptedSocket();
    this.sockets.push(socket);
    return socket;
  };

  get socket(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nothing was dialed");
    return socket;
  }

  get timerCount(): number {
    return this.timers.size;
  }

  /** Lets time pass, each timer at its time. */
  pass(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const [next] = [...this.timers].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined) break;
      this.timers.delete(next[0]);
      this.time = Math.max(this.time, next[1].at);
      next[1].run();
    }
    this.time = until;
  }

  /** The machine sleeps or the page is hidden: time passes, and all timers that were due come together at the end. */
  sleep(ms: number): void {
    this.time += ms;
    this.pass(0);
  }
}
