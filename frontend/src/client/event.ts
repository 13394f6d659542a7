/**
 * What a client tells: events of a room for its consumers, and actions for the carrier that holds the socket. Pure data.
 * It must not decide anything. The Python client has the same words; tests/client/cases binds the two together.
 */
import type { Identity, Json, Member, Since } from "./wire.ts";

/** A message of a room. `epoch` and `offset` are null if it is volatile; `fields` is what stands beside the envelope. */
export interface RoomMessage {
  readonly event: "message";
  readonly roomId: string;
  /** Its type on the wire: `room_message` or a feature's own. */
  readonly kind: string;
  readonly epoch: string | null;
  readonly offset: number | null;
  /** When the server took it, Unix seconds. */
  readonly timestamp: number;
  readonly fields: Fields;
}

/** Something was missed for good (`recovered: false`): drop what you hold of the room and load it anew. */
export interface Reset {
  readonly event: "reset";
  readonly roomId: string;
  /** The server's word, e.g. `history_trimmed` or `epoch_changed`. */
  readonly reason: string;
  readonly missedAtLeast: number | null;
  readonly epoch: string;
  readonly offset: number;
  /** How many messages follow that are the room's present state. */
  readonly replayed: number;
}

/** Who is in the room has changed; `presence_state` replaces everything that was known. */
export interface Presence {
  readonly event: "presence";
  readonly roomId: string;
  readonly change: "presence_state" | "member_joined" | "member_left" | "presence_diff";
  /** Users present, also those that are not listed. */
  readonly count: number;
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
  /** False if the list of members is only a part of them. */
  readonly complete: boolean;
}

export type RoomEvent = RoomMessage | Reset | Presence;
export type Fields = Readonly<Record<string, Json>>;

/** Why something did not happen; `code` is the server's or one of failure.ts. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly requiredAction: string;
  readonly willNot: string;
  readonly temporary: boolean;
  readonly retryAfterMs: number | null;
  /** What a program needs to go on, such as the present value; absent if there is nothing. */
  readonly details?: Json;
}

/** How the connection is. `code` is a close code, or the HTTP status of a refused handshake. */
export type Link =
  | { readonly state: "connecting" }
  | { readonly state: "connected"; readonly connectionId: string | null; readonly user: Identity | null }
  | {
      readonly state: "waiting";
      readonly retryInMs: number;
      readonly code: number | null;
      readonly reason: string | null;
    }
  | { readonly state: "ended"; readonly code: number | null; readonly reason: string | null };

export type Action =
  /** Open a socket; events of an earlier one no longer count. */
  | { readonly do: "connect" }
  | { readonly do: "fetch_token"; readonly purpose: "connect" | "refresh" }
  | { readonly do: "send"; readonly text: string }
  /** Close the socket and forget it. */
  | { readonly do: "close"; readonly code: number; readonly reason: string }
  | { readonly do: "deliver"; readonly event: RoomEvent }
  | {
      readonly do: "room_entered";
      readonly roomId: string;
      /** Nothing was missed since the last message. */
      readonly recovered: boolean;
      /** The room's newest place; live messages come after it. */
      readonly epoch: string;
      readonly offset: number;
    }
  /** The room will bring nothing more; without an error because the program left it. */
  | { readonly do: "room_ended"; readonly roomId: string; readonly error: Failure | null }
  /** A request is answered, or will never be. */
  | { readonly do: "settle"; readonly op: number; readonly data: Json; readonly error: Failure | null }
  /** A message that belongs to no room and answers nothing. */
  | { readonly do: "note"; readonly kind: string; readonly fields: Fields }
  | { readonly do: "link"; readonly link: Link };

export type { Json, Member, Since };
