/**
 * Events of a room that wait for an iterating consumer. Overflow policy: at the bound the room is left (`full`), and
 * entered again where it was when half of the events have been taken (`ready`). It must not know rooms or sockets.
 */
import type { RoomEvent } from "./event.ts";
import type { ClientError } from "./failure.ts";

export interface InboxCallbacks {
  full(): void;
  ready(): void;
  /** The consumer has left its loop. */
  done(): void;
}

interface Taker {
  resolve(result: IteratorResult<RoomEvent, undefined>): void;
  reject(error: ClientError): void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

export class Inbox implements AsyncIterator<RoomEvent, undefined> {
  private readonly max: number;
  private readonly callbacks: InboxCallbacks;
  private readonly events: RoomEvent[] = [];
  private readonly takers: Taker[] = [];
  private paused = false;
  private ended = false;
  private error: ClientError | null = null;

  constructor(max: number, callbacks: InboxCallbacks) {
    this.max = max;
    this.callbacks = callbacks;
  }

  put(event: RoomEvent): void {
    const taker = this.takers.shift();
    if (taker !== undefined) {
      taker.resolve({ done: false, value: event });
      return;
    }
    this.events.push(event);
    if (!this.paused && this.events.length >= this.max) {
      this.paused = true;
      this.callbacks.full();
    }
  }

  end(error: ClientError | null): void {
    this.ended = true;
    this.error = error;
    for (const taker of this.takers.splice(0)) {
      if (error === null) taker.resolve(DONE);
      else taker.reject(error);
    }
  }

  next(): Promise<IteratorResult<RoomEvent, undefined>> {
    const event = this.events.shift();
    if (event !== undefined) {
      if (this.paused && this.events.length <= this.max / 2) {
        this.paused = false;
        this.callbacks.ready();
      }
      return Promise.resolve({ done: false, value: event });
    }
    if (this.ended) return this.error === null ? Promise.resolve(DONE) : Promise.reject(this.error);
    return new Promise((resolve, reject) => this.takers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<RoomEvent, undefined>> {
    this.callbacks.done();
    return Promise.resolve(DONE);
  }
}
