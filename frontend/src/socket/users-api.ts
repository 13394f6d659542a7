/** Users, their logins and sockets, as the API tells of them. Types follow src/tidewire/monitoring/user_wire.py. */
import { ask, post, type Reply } from "./admin-api";
import type { ConnectionRow, Whole } from "./connections-api";

export interface UserRow {
  readonly id: number;
  readonly username: string;
  readonly role: string;
  readonly disabled: boolean;
  readonly grants: readonly string[];
  readonly denials: readonly string[];
  readonly permissions: readonly string[];
  readonly created_at: number;
  readonly password_changed_at: number;
  readonly must_change_password: boolean;
  readonly logins: number;
  readonly last_seen: number | null;
  readonly version: number;
}

export interface UsersAnswer {
  readonly users: readonly UserRow[];
  readonly kept: readonly UserRow[];
  readonly matching: number;
  readonly cursor: string | null;
  readonly at: number;
}

export interface Rules {
  /** Role -> what it may do, in ascending order. */
  readonly roles: Readonly<Record<string, readonly string[]>>;
  readonly permissions: readonly string[];
  readonly own_id: number;
  readonly own_role: string;
  readonly own_permissions: readonly string[];
}

export interface SessionRow {
  readonly id: string;
  readonly created_at: number;
  readonly last_seen: number;
  readonly expires_at: number;
  readonly ip: string;
  readonly user_agent: string;
}

export interface SocketsAnswer extends Whole {
  readonly connections: readonly ConnectionRow[];
  readonly matching: number;
  readonly at: number;
}

export interface UserChange {
  readonly version: number;
  readonly role?: string;
  readonly disabled?: boolean;
  readonly grants?: readonly string[];
  readonly denials?: readonly string[];
}

const USERS = "/api/v1/admin/users";

export function listUsers(parameters: URLSearchParams, keep: readonly string[]): Promise<Reply<UsersAnswer>> {
  const asked = new URLSearchParams(parameters);
  if (keep.length > 0) asked.set("keep", keep.join(","));
  return ask(`${USERS}?${asked}`);
}

export function readRules(): Promise<Reply<Rules>> {
  return ask(`${USERS}/rules`);
}

export function readUser(id: string): Promise<Reply<UserRow>> {
  return ask(`${USERS}/${id}`);
}

export function listSessions(id: string): Promise<Reply<{ sessions: readonly SessionRow[]; at: number }>> {
  return ask(`${USERS}/${id}/sessions`);
}

export function listSockets(id: string): Promise<Reply<SocketsAnswer>> {
  return ask(`${USERS}/${id}/connections`);
}

export function createUser(
  username: string,
  role: string,
  password: string,
): Promise<Reply<{ user: UserRow; password: string | null }>> {
  return post(USERS, { username, role, ...(password === "" ? {} : { password }) });
}

export function changeUser(id: string, change: UserChange): Promise<Reply<UserRow>> {
  return ask(`${USERS}/${id}`, { method: "PATCH", body: JSON.stringify(change) });
}

export function setPassword(
  id: string,
  password: string,
): Promise<Reply<{ sessions_ended: number; password: string | null }>> {
  return post(`${USERS}/${id}/password`, password === "" ? {} : { password });
}

export function logOutEverywhere(id: string): Promise<Reply<{ sessions_ended: number }>> {
  return post(`${USERS}/${id}/logout`, {});
}

export function endSession(id: string, session: string): Promise<Reply<{ sessions_ended: number }>> {
  return post(`${USERS}/${id}/sessions/${encodeURIComponent(session)}/end`, {});
}
