/**
 * The rooms of one client: which are asked for, entered, being left; and what a message means for which. Pure.
 * It must not know sockets or pace. A room that is being left is deaf until the server has confirmed, so that nothing of
 * an earlier stay is taken for the present one.
 */
import type { Action, Failure, Fields, RoomEvent } from "./event.ts";
import type { Body } from "./frame.ts";
import { Track } from "./track.ts";
import type { Gap, RoomEvent as PresenceMessage, Since, Subscribed, Unsubscribed } from "./wire.ts";

/** A room that was refused for now and without a hint is asked for again after this. */
const RETRY_MS = 1_000;

/** Every room of the program is in here until it ends. */
export class Rooms {
  private readonly tracks = new Map<string, Track>();
  private readonly wanted = new Set<string>();
  private readonly asked = new Map<number, string>();
  private readonly leaving = new Map<string, number>();
  // The server enters this one by itself, once per connection; its answer is not the answer to ours.
  private automatic: string | null = null;

  has(roomId: string): boolean {
    return this.tracks.has(roomId);
  }

  get(roomId: string): Track | null {
    return this.tracks.get(roomId) ?? null;
  }

  /** Wants a room. */
  add(roomId: string, since: Since | null, presence: boolean): void {
    this.tracks.set(roomId, new Track(roomId, since, presence));
    this.wanted.add(roomId);
  }

  /** Forgets a room; true if the server must be told. */
  remove(roomId: string): boolean {
    const phase = this.tracks.get(roomId)?.phase;
    this.tracks.delete(roomId);
    this.wanted.delete(roomId);
    return phase === "asked" || phase === "entered";
  }

  /** An `unsubscribe` with this id has been sent. */
  left(roomId: string, id: number): void {
    this.leaving.set(roomId, id);
  }

  /** The consumer is behind; true if the server must be told now. */
  pause(roomId: string): boolean {
    const track = this.tracks.get(roomId);
    if (track === undefined || track.phase === "paused") return false;
    // A replay is bounded by the server's memory, and leaving in the middle would only make it begin again.
    if (track.phase !== "entered" || track.replaying) {
      track.lagging = true;
      return false;
    }
    track.lagging = false;
    track.phase = "paused";
    return true;
  }

  /** The consumer has caught up. */
  resume(roomId: string): void {
    const track = this.tracks.get(roomId);
    if (track === undefined) return;
    track.lagging = false;
    if (track.phase === "paused") this.want(track);
  }

  /** A room that may be asked for now. */
  nextWanted(nowMs: number): Track | null {
    for (const track of this.askable()) if (track.retryAtMs <= nowMs) return track;
    return null;
  }

  /** When a room that was refused for now may be asked for again. */
  dueMs(): number | null {
    let due: number | null = null;
    for (const track of this.askable()) due = Math.min(due ?? track.retryAtMs, track.retryAtMs);
    return due;
  }

  /** The subscribe of a room, counted as sent. */
  ask(track: Track, id: number): Fields {
    this.wanted.delete(track.roomId);
    track.phase = "asked";
    this.asked.set(id, track.roomId);
    return {
      type: "subscribe",
      room_id: track.roomId,
      ...(track.since === null ? {} : { since: { epoch: track.since.epoch, offset: track.since.offset } }),
      ...(track.presence ? { presence: true } : {}),
    };
  }

  /** A connection is up; `automatic` is the room that the server enters by itself. */
  begin(automatic: string | null): void {
    this.automatic = automatic;
  }

  /** The connection is gone: everything must be asked for again, in the order the program came in. */
  lost(): void {
    this.asked.clear();
    this.leaving.clear();
    for (const track of this.tracks.values()) {
      track.want();
      track.retryAtMs = 0;
      if (track.phase === "wanted") this.wanted.add(track.roomId);
    }
  }

  /** What was delivered is no longer true. */
  forget(): void {
    for (const track of this.tracks.values()) track.forget();
  }

  /** There will be no connection any more. */
  end(error: Failure | null): Action[] {
    const actions: Action[] = [...this.tracks.keys()].map((roomId) => ({ do: "room_ended", roomId, error }));
    this.tracks.clear();
    this.wanted.clear();
    return actions;
  }

  /** Applies a reply; null if it answered nothing of ours. */
  reply(id: number, failure: Failure | null, nowMs: number): Action[] | null {
    for (const [roomId, leavingId] of this.leaving) {
      if (leavingId === id) {
        this.leaving.delete(roomId);
        return [];
      }
    }
    const roomId = this.asked.get(id);
    if (roomId === undefined) return null;
    this.asked.delete(id);
    const track = this.tracks.get(roomId);
    if (track === undefined || failure === null || track.phase !== "asked") return [];
    if (failure.temporary) {
      track.retryAtMs = nowMs + (failure.retryAfterMs || RETRY_MS);
      this.want(track);
      return [];
    }
    this.tracks.delete(roomId);
    return [{ do: "room_ended", roomId, error: failure }];
  }

  /** Applies the answer to a subscribe. */
  subscribed(answer: Subscribed): Action[] {
    if (answer.room_id === this.automatic) {
      this.automatic = null;
      return [];
    }
    const track = this.heard(answer.room_id);
    if (track?.phase !== "asked") return [];
    const events = track.subscribed(answer);
    const { recovered, epoch, offset } = answer;
    return [{ do: "room_entered", roomId: track.roomId, recovered, epoch, offset }, ...deliver(events)];
  }

  /** Applies a message of a room. */
  message(roomId: string, body: Body): Action[] {
    return deliver(this.heard(roomId)?.message(body) ?? []);
  }

  /** Applies a change of who is in a room. */
  presence(event: PresenceMessage): Action[] {
    return deliver(this.heard(event.room_id)?.presenceEvent(event) ?? []);
  }

  /** Applies a gap: asks for the room again, from what was delivered last. */
  gap(gap: Gap): void {
    const track = this.heard(gap.room_id);
    if (track?.phase !== "entered") return;
    track.want();
    this.wanted.add(gap.room_id);
  }

  /** Applies that the server took us out of a room. */
  unsubscribed(left: Unsubscribed): Action[] {
    if (this.heard(left.room_id) === undefined || left.reason === "requested") return [];
    this.remove(left.room_id);
    const error: Failure = {
      code: left.reason,
      message: left.message || "The server took the room away.",
      requiredAction: "",
      willNot: "",
      temporary: false,
      retryAfterMs: null,
    };
    return [{ do: "room_ended", roomId: left.room_id, error }];
  }

  /** Whether a room may now be left for a consumer that fell behind during a replay. */
  toPause(roomId: string): boolean {
    const track = this.tracks.get(roomId);
    return track !== undefined && track.lagging && track.phase === "entered" && !track.replaying;
  }

  private want(track: Track): void {
    track.phase = "wanted";
    this.wanted.add(track.roomId);
  }

  private *askable(): Generator<Track> {
    for (const roomId of this.wanted) {
      const track = this.tracks.get(roomId);
      if (track !== undefined && !this.leaving.has(roomId)) yield track;
    }
  }

  private heard(roomId: string): Track | undefined {
    return this.leaving.has(roomId) ? undefined : this.tracks.get(roomId);
  }
}

function deliver(events: RoomEvent[]): Action[] {
  return events.map((event) => ({ do: "deliver", event }));
}
