/**
 * What a session sends: numbered, paced, rooms before requests; and the list of actions that it leaves behind. Pure.
 * It must not know the connection's life or what answers mean.
 */
import type { Action, Fields } from "./event.ts";
import { type Ledger, Pacer } from "./ledger.ts";
import type { Rooms } from "./rooms.ts";

export class Outgoing {
  /** What the carrier is to do, in order; emptied by `take`. */
  actions: Action[] = [];
  /** Something waits for the pace. */
  blocked = false;
  readonly pacer = new Pacer();
  private readonly rooms: Rooms;
  private readonly ledger: Ledger;
  private nextId = 0;

  constructor(rooms: Rooms, ledger: Ledger) {
    this.rooms = rooms;
    this.ledger = ledger;
  }

  /** Returns the actions and forgets them. */
  take(): Action[] {
    const actions = this.actions;
    this.actions = [];
    return actions;
  }

  /** Sends at once, whatever the pace, and returns the id. */
  send(message: Fields, nowMs: number): number {
    this.pacer.take(nowMs, true);
    return this.write(message);
  }

  /** Sends a ping; its answer is a `pong`, no reply. */
  ping(lastSequence: number, nowMs: number): void {
    this.pacer.take(nowMs, true);
    this.actions.push({ do: "send", text: JSON.stringify({ type: "ping", last_sequence: lastSequence }) });
  }

  /** Sends an unsubscribe; the room is deaf until it is answered. */
  leave(roomId: string, nowMs: number): void {
    this.rooms.left(roomId, this.send({ type: "unsubscribe", room_id: roomId }, nowMs));
  }

  /** Sends what waits, rooms first, as fast as the server allows. */
  fill(nowMs: number): void {
    this.blocked = false;
    this.actions.push(...this.ledger.giveUp(nowMs));
    for (;;) {
      const track = this.rooms.nextWanted(nowMs);
      if (track === null && !this.ledger.waiting) return;
      if (!this.pacer.take(nowMs)) {
        this.blocked = true;
        return;
      }
      const id = this.nextId + 1;
      const message = track !== null ? this.rooms.ask(track, id) : this.ledger.next(id, nowMs);
      if (message !== null) this.write(message);
    }
  }

  private write(message: Fields): number {
    const id = ++this.nextId;
    this.actions.push({ do: "send", text: JSON.stringify({ ...message, id }) });
    return id;
  }
}
