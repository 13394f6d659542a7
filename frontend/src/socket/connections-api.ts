/** Connections and those that ended, as the API tells of them. Types follow src/tidewire/hub. */
import { ask, post, type Reply } from "./admin-api";

export interface Silent {
  readonly node: string;
  readonly instance: string;
  readonly why: "no_answer" | "overdue" | "other_version";
  readonly heard_s_ago: number;
}

/** What every list says of its own completeness. */
export interface Whole {
  readonly complete: boolean;
  readonly silent: readonly Silent[];
  readonly cut_off: string;
}

export interface ConnectionRow {
  readonly connection_id: string;
  readonly user_id: number | null;
  readonly username: string | null;
  readonly role: string | null;
  readonly ip: string;
  readonly user_agent: string;
  readonly path: string;
  readonly protocol: string;
  readonly state: string;
  readonly connected_at: number;
  readonly last_activity: number;
  readonly rooms: readonly string[];
  readonly room_count: number;
  readonly messages_in: number;
  readonly messages_out: number;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly messages_in_per_second: number;
  readonly messages_out_per_second: number;
  readonly queued_messages: number;
  readonly queued_bytes: number;
  readonly replaced: number;
  readonly dropped: number;
  readonly given_up: number;
  readonly missed: number;
  readonly round_trip_ms: number | null;
  readonly expires_at: number | null;
  readonly node: string;
  readonly instance: string;
}

export interface ConnectionsAnswer extends Whole {
  readonly connections: readonly ConnectionRow[];
  readonly kept: readonly ConnectionRow[];
  readonly matching: number;
  readonly cursor: string | null;
  readonly at: number;
}

export interface ClosedRow {
  readonly connection_id: string;
  readonly node: string;
  readonly instance: string;
  readonly username: string | null;
  readonly ip: string;
  readonly user_agent: string;
  readonly connected_at: number;
  readonly closed_at: number;
  readonly held_s: number;
  readonly close_code: number | null;
  readonly reason: string;
  readonly meaning: string;
  readonly missed: number;
}

export interface ClosedAnswer extends Whole {
  readonly closed: readonly ClosedRow[];
  readonly matching: number;
  readonly remembered: number;
}

export interface DisconnectAnswer extends Whole {
  readonly closed: readonly { readonly connection_id: string; readonly was_closing: boolean }[];
  readonly missing: readonly string[];
}

export const CONNECTIONS = "/api/v1/admin/connections";

export function listConnections(
  parameters: URLSearchParams,
  keep: readonly string[],
): Promise<Reply<ConnectionsAnswer>> {
  if (keep.length > 0) parameters.set("keep", keep.join(","));
  return ask(`${CONNECTIONS}?${parameters}`);
}

export function listClosed(text: string, limit: number): Promise<Reply<ClosedAnswer>> {
  return ask(`${CONNECTIONS}/closed?${new URLSearchParams({ text, limit: String(limit) })}`);
}

/** Closes them; `count` is the number that the person has confirmed. */
export function disconnect(ids: readonly string[], count: number, reason: string): Promise<Reply<DisconnectAnswer>> {
  return post(`${CONNECTIONS}/disconnect`, { connection_ids: ids, count, reason });
}
