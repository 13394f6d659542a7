/** One connection looked at closely, as the API tells of it. Types follow src/tidewire/hub/closeup.py. */
import type { Second } from "../state/seconds";
import { ask, type Reply } from "./admin-api";
import type { ClosedRow, ConnectionRow } from "./connections-api";

export interface RoomOfConnection {
  readonly room_id: string;
  readonly delivery: string;
  readonly epoch: string;
  readonly offset: number;
  readonly members: number;
  readonly member: boolean;
  readonly suspended: boolean;
  readonly queued_messages: number;
  readonly queued_bytes: number;
  readonly lost: number;
}

export interface WholeConnection extends ConnectionRow {
  readonly session_id: string | null;
  readonly confirmed_sequence: number;
}

export interface CloseupAnswer {
  readonly connection: WholeConnection | null;
  readonly closed: ClosedRow | null;
  readonly rooms: readonly RoomOfConnection[];
  readonly watched_since: number | null;
  readonly seconds: readonly Second[];
  readonly at: number;
}

/** `after`: figures up to this moment are known already. */
export function closeup(connectionId: string, after: number): Promise<Reply<CloseupAnswer>> {
  return ask(`/api/v1/admin/connections/${encodeURIComponent(connectionId)}/closeup?after=${after}`);
}
