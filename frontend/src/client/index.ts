/** The TypeScript client of the Tidewire hub: one connection that is kept up, rooms, requests. No DOM. */
export { Client, type ClientOptions, type Published, Room, type RoomOptions } from "./client.ts";
export type { Failure, Fields, Link, Presence, Reset, RoomEvent, RoomMessage } from "./event.ts";
export { ClientError, type ErrorKind } from "./failure.ts";
export type { Host, SocketLike } from "./host.ts";
export { BATCH, PLAIN } from "./state.ts";
export type { Identity, Json, Member, Since } from "./wire.ts";
