/** Rooms as the API tells of them. Types follow src/tidewire/hub/room_list.py. */
import { ask, type Reply } from "./admin-api";
import type { Whole } from "./connections-api";

export interface RoomOnNode {
  readonly node: string;
  readonly instance: string;
  readonly members: number;
  readonly epoch: string;
  readonly offset: number;
}

export interface RoomRow {
  readonly room_id: string;
  readonly members: number;
  readonly present: number;
  readonly epoch: string;
  readonly offset: number;
  readonly delivery: "lossless" | "latest" | "volatile";
  readonly published: number;
  readonly messages_per_second: number | null;
  readonly history_messages: number;
  readonly history_bytes: number;
  readonly agreed: boolean;
  readonly nodes: readonly RoomOnNode[];
}

export interface RoomsAnswer extends Whole {
  readonly rooms: readonly RoomRow[];
  readonly kept: readonly RoomRow[];
  readonly matching: number;
  readonly cursor: string | null;
  readonly exact: boolean;
  readonly at: number;
}

export function listRooms(parameters: URLSearchParams, keep: readonly string[]): Promise<Reply<RoomsAnswer>> {
  for (const room of keep) parameters.append("keep", room);
  return ask(`/api/v1/admin/rooms?${parameters}`);
}
