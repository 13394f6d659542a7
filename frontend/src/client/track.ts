/**
 * One room as the client follows it: what has been delivered, what must come next, who is inside. Pure.
 * Each (epoch, offset) leaves here at most once and in order, or a reset says that something is lost. It must not know
 * sockets, other rooms, or how a subscribe is sent.
 * Source: docs/protocol.md, "Entering and resuming".
 */
import type { Fields, RoomEvent, RoomMessage } from "./event.ts";
import { type Body, FrameFault } from "./frame.ts";
import type { Member, RoomEvent as PresenceMessage, Since, Subscribed } from "./wire.ts";

/** What a room's message carries besides the feature's own fields. */
const ENVELOPE: readonly string[] = ["type", "room_id", "epoch", "offset", "timestamp"];

/** Says what is in the room as of its newest message: its `offset` is the place of that one, not one of its own. */
const STATE: ReadonlySet<string> = new Set(["quote_state"]);

/**
 * wanted -> asked (subscribe sent) -> entered (`subscribed` came); any -> wanted when the connection is lost or a gap is
 * told; entered -> paused when the consumer is behind -> wanted when it has caught up.
 */
export type Phase = "wanted" | "asked" | "entered" | "paused";

export class Track {
  readonly roomId: string;
  readonly presence: boolean;
  /** The last message delivered; null if the room must be loaded anew. */
  since: Since | null;
  phase: Phase = "wanted";
  /** Not to be asked for before this. */
  retryAtMs = 0;
  /** The consumer is behind; the room is to be left as soon as no replay is under way. */
  lagging = false;
  members = new Map<number, Member>();
  count = 0;
  complete = true;
  /** Whether the consumer relies on continuity, so that a loss must be told. */
  private begun: boolean;
  private lossless = true;
  // While a replay runs: messages still to come, and the offset that the room has after it.
  private replayLeft = 0;
  private replayTo: Since | null = null;
  private floor = -1;

  constructor(roomId: string, since: Since | null, presence: boolean) {
    this.roomId = roomId;
    this.since = since;
    this.presence = presence;
    this.begun = since !== null;
  }

  /** Whether messages of a replay are still to come. */
  get replaying(): boolean {
    return this.replayTo !== null;
  }

  /** The room must be asked for again: the connection was lost, or a gap was told. */
  want(): void {
    if (this.phase !== "paused") this.phase = "wanted";
    this.replayLeft = 0;
    this.replayTo = null;
  }

  /** What was delivered is no longer true (close code 4006). */
  forget(): void {
    this.since = null;
  }

  /** Applies the answer to our subscribe. */
  subscribed(answer: Subscribed): RoomEvent[] {
    const events: RoomEvent[] = [];
    this.phase = "entered";
    this.lossless = answer.delivery === "lossless";
    if (!answer.recovered) {
      if (this.begun) {
        events.push({
          event: "reset",
          roomId: this.roomId,
          reason: answer.reason || "unknown",
          missedAtLeast: answer.missed_at_least ?? null,
          epoch: answer.epoch,
          offset: answer.offset,
          replayed: answer.replayed,
        });
      }
      // Until the state is whole there is no place to continue from: half of it must not pass for all of it.
      this.since = null;
    } else if (this.since === null || this.since.epoch !== answer.epoch) {
      throw new FrameFault("recovered_nothing");
    }
    this.begun = true;
    this.floor = this.since === null ? -1 : this.since.offset;
    this.replayLeft = answer.replayed;
    this.replayTo = { epoch: answer.epoch, offset: answer.offset };
    this.endReplay();
    return events;
  }

  /** Applies a message of the room; a hole that no `gap` explains is a fault. */
  message(body: Body): RoomEvent[] {
    const epoch = body["epoch"];
    const offset = STATE.has(body.type) ? null : body["offset"];
    if (offset === undefined || offset === null) return this.phase === "entered" ? [this.deliver(body, null)] : [];
    if (typeof offset !== "number" || !Number.isInteger(offset) || typeof epoch !== "string") {
      throw new FrameFault("bad_place");
    }
    const place: Since = { epoch, offset };
    if (this.phase === "entered") return this.replayTo === null ? this.live(body, place) : this.replay(body, place);
    if (this.phase === "asked" && this.follows(place)) {
      // The server entered us by itself (user rooms) and will not repeat what it has sent on this connection.
      this.since = place;
      return [this.deliver(body, place)];
    }
    return [];
  }

  /** Applies a change of who is inside. */
  presenceEvent(event: PresenceMessage): RoomEvent[] {
    if (this.phase !== "entered" || !this.presence) return [];
    let joined = event.joined ?? [];
    let left = event.left ?? [];
    if (event.event === "presence_state") {
      joined = event.members ?? [];
      this.members = new Map();
      this.complete = event.complete !== false;
    } else if (event.event === "member_joined" && event.member) joined = [event.member];
    else if (event.event === "member_left" && event.member) left = [event.member];
    for (const member of left) this.members.delete(member.user_id);
    for (const member of joined) this.members.set(member.user_id, member);
    this.count = event.count;
    const { complete, count, roomId } = this;
    return [{ event: "presence", roomId, change: event.event, count, joined, left, complete }];
  }

  private replay(body: Body, place: Since): RoomEvent[] {
    const to = this.replayTo;
    const before = this.since;
    if (to === null || place.epoch !== to.epoch || place.offset > to.offset) throw new FrameFault("replay_broken");
    this.replayLeft--;
    const events: RoomEvent[] = [];
    if (place.offset > this.floor) {
      if (before !== null && place.offset !== before.offset + 1) throw new FrameFault("replay_broken");
      this.floor = place.offset;
      if (before !== null) this.since = place;
      events.push(this.deliver(body, place));
    }
    this.endReplay();
    return events;
  }

  private endReplay(): void {
    if (this.replayTo === null || this.replayLeft > 0) return;
    // In a `latest` room messages that were replaced on their way have no other trace than this offset.
    if (this.lossless && this.since !== null && this.since.offset !== this.replayTo.offset) {
      throw new FrameFault("replay_broken");
    }
    this.since = this.replayTo;
    this.replayTo = null;
  }

  private live(body: Body, place: Since): RoomEvent[] {
    if (this.since === null || place.epoch !== this.since.epoch) throw new FrameFault("foreign_epoch");
    if (place.offset <= this.since.offset) return [];
    if (this.lossless && place.offset !== this.since.offset + 1) throw new FrameFault("offset_hole");
    this.since = place;
    return [this.deliver(body, place)];
  }

  private follows(place: Since): boolean {
    return this.since !== null && place.epoch === this.since.epoch && place.offset === this.since.offset + 1;
  }

  private deliver(body: Body, place: Since | null): RoomMessage {
    const fields: Fields = Object.fromEntries(Object.entries(body).filter(([name]) => !ENVELOPE.includes(name)));
    const timestamp = body["timestamp"];
    return {
      event: "message",
      roomId: this.roomId,
      kind: body.type,
      epoch: place?.epoch ?? null,
      offset: place?.offset ?? null,
      timestamp: typeof timestamp === "number" ? timestamp : 0,
      fields,
    };
  }
}
