/**
 * The hub's messages as TypeScript types. Generated from src/tidewire/core/protocol.py; renew with
 * `python -m tests.support.wire_types`. It must not be edited by hand.
 */

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

/** How the connection is: ``connected`` first, the others later. */
export interface Connection {
  type: "connection";
  status: "closing" | "connected" | "degraded" | "draining" | "refreshed" | "restored" | "token_expiring";
  timestamp: number;
  connection_id?: string | null;
  session_id?: string | null;
  protocol?: string | null;
  user?: Identity | null;
  heartbeat?: HeartbeatTerms | null;
  limits?: Limits | null;
  reconnect_terms?: ReconnectTerms | null;
  token_expires_at?: number | null;
  code?: number | null;
  reason?: string | null;
  reconnect?: string | null;
  reconnect_after_ms?: number | null;
  message?: string | null;
}

/** Who the server takes the client for. */
export interface Identity {
  user_id: number;
  username: string;
  role: string;
  permissions: string[];
}

/** How often the server asks and how long it waits, milliseconds. */
export interface HeartbeatTerms {
  interval_ms: number;
  timeout_ms: number;
}

/** What this connection may use. */
export interface Limits {
  message_bytes: number;
  rooms: number;
  messages_per_second: number;
  burst: number;
  connections_per_user: number;
}

/** How to come back: full jitter between the delays, the count of failures forgotten after a stable time. */
export interface ReconnectTerms {
  min_delay_ms: number;
  max_delay_ms: number;
  stable_after_ms: number;
}

/** Answers ``ping``; ``last_sequence`` is the client's own, handed back. */
export interface Pong {
  type: "pong";
  timestamp: number;
  last_sequence?: number | null;
}

/** Are you there? Any frame answers. */
export interface Heartbeat {
  type: "heartbeat";
  timestamp: number;
}

/** Answers the client message that carried ``id``, exactly once. */
export interface Reply {
  type: "reply";
  id: number | string;
  ok: boolean;
  error?: ErrorBody | null;
  data?: Json;
}

/** What went wrong, for a program (``code``) and for a person (the sentences). */
export interface ErrorBody {
  code: string;
  message: string;
  required_action: string;
  will_not: string;
  temporary?: boolean;
  retry_after_ms?: number | null;
  details?: { [name: string]: Json };
}

/** A failure that no ``reply`` can carry. ``about`` is the type of the client message, if known. */
export interface ErrorMessage {
  type: "error";
  code: string;
  message: string;
  required_action: string;
  will_not: string;
  temporary?: boolean;
  retry_after_ms?: number | null;
  about?: string | null;
  details?: { [name: string]: Json };
}

/** You are in the room. The next ``replayed`` messages of the room come before anything live. */
export interface Subscribed {
  type: "subscribed";
  room_id: string;
  epoch: string;
  offset: number;
  recovered: boolean;
  replayed: number;
  delivery: "latest" | "lossless" | "volatile";
  reason?: string | null;
  missed_at_least?: number | null;
}

/** You are out of the room, by your wish or not; ``message`` says more when it was not. */
export interface Unsubscribed {
  type: "unsubscribed";
  room_id: string;
  reason: string;
  message?: string | null;
}

/** Who is in the room. ``complete`` is false when ``members`` lists only a part of ``count``. */
export interface RoomEvent {
  type: "room_event";
  room_id: string;
  event: "member_joined" | "member_left" | "presence_diff" | "presence_state";
  timestamp: number;
  count: number;
  member?: Member | null;
  members?: Member[] | null;
  joined?: Member[] | null;
  left?: Member[] | null;
  complete?: boolean | null;
}

/** A user who is present in a room with at least one connection. */
export interface Member {
  user_id: number;
  username: string;
  joined_at: number;
}

/** You did not get ``from_offset..to_offset``, and get no more of the room until you subscribe with ``since``. */
export interface Gap {
  type: "gap";
  room_id: string;
  epoch: string;
  from_offset: number;
  to_offset: number;
  reason: string;
}

/** A room's message when no feature gave it a type of its own. Volatile ones have neither epoch nor offset. */
export interface RoomMessage {
  type: "room_message";
  room_id: string;
  timestamp: number;
  data: Json;
  epoch?: string | null;
  offset?: number | null;
  sender?: Sender | null;
}

/** Who published a room message; absent if a server-side program did. */
export interface Sender {
  user_id: number;
  username: string;
}

/** Sign of life; ``last_sequence`` is the newest the client has seen. */
export interface Ping {
  type: "ping";
  id?: number | string | null;
  last_sequence?: number | null;
}

/** Enter a room, resuming after ``since`` if given. */
export interface Subscribe {
  type: "subscribe";
  id?: number | string | null;
  room_id: string;
  since?: Since | null;
  presence?: boolean;
}

/** The last message of the room that the client has. */
export interface Since {
  epoch: string;
  offset: number;
}

/** Leave a room. */
export interface Unsubscribe {
  type: "unsubscribe";
  id?: number | string | null;
  room_id: string;
}

/** Send ``data`` (any JSON) to a room; ``volatile`` ones may be dropped and are not kept. */
export interface Publish {
  type: "publish";
  id?: number | string | null;
  room_id: string;
  data: Json;
  volatile?: boolean;
  op_id?: string | null;
}

/** Say who you are, as the first message. */
export interface Authenticate {
  type: "authenticate";
  id?: number | string | null;
  token: string;
}

/** Extend the session in place with a new token of the same user. */
export interface AuthRefresh {
  type: "auth_refresh";
  id?: number | string | null;
  token: string;
}
