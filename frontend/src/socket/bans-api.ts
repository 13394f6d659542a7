/** Bans, as the API tells of them. Types follow src/tidewire/monitoring/ban_routes.py. */
import { ask, post, type Reply } from "./admin-api";
import type { Whole } from "./connections-api";

export interface Ban {
  readonly id: number;
  readonly user_id: number | null;
  readonly username: string;
  readonly network: string;
  readonly reason: string;
  readonly created_at: number;
  readonly created_by: string;
  readonly expires_at: number | null;
  readonly lifted_at: number | null;
  readonly lifted_by: string;
  readonly state: "in_force" | "expired" | "lifted";
}

export interface BansAnswer {
  readonly bans: readonly Ban[];
  readonly kept: readonly Ban[];
  readonly matching: number;
  readonly in_force: number;
  readonly cursor: string | null;
  readonly at: number;
}

export interface BanAnswer extends Whole {
  readonly bans: readonly Ban[];
  readonly closed: number;
}

/** Whom, why and how long; `seconds` null: without end; `confirm`: typed by somebody who bans themselves. */
export interface BanWish {
  readonly users: readonly string[];
  readonly addresses: readonly string[];
  readonly count: number;
  readonly reason: string;
  readonly seconds: number | null;
  readonly confirm: string;
}

const BANS = "/api/v1/admin/bans";

export function listBans(parameters: URLSearchParams, keep: readonly string[]): Promise<Reply<BansAnswer>> {
  if (keep.length > 0) parameters.set("keep", keep.join(","));
  return ask(`${BANS}?${parameters}`);
}

export function ban(wish: BanWish): Promise<Reply<BanAnswer>> {
  return post(BANS, wish);
}

export function lift(id: number): Promise<Reply<BanAnswer>> {
  return post(`${BANS}/${id}/lift`, {});
}
