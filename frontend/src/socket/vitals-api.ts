/** Checks and histories as the API tells of them. Types follow src/tidewire/vitals/wire.py. */
import type { Json } from "../client/index";
import type { HistoryAnswer } from "../state/vitals";
import { ask, type Reply } from "./admin-api";
import type { Whole } from "./connections-api";

export interface CheckResult {
  readonly name: string;
  readonly status: "ok" | "degraded" | "failed";
  readonly latency_ms: number | null;
  readonly reason: string;
  readonly required_action: string;
  readonly will_not: string;
  readonly code: string;
  readonly details: Json;
}

export interface SystemHealth {
  readonly status: CheckResult["status"];
  readonly node: string;
  readonly at: number;
  readonly took_ms: number;
  readonly checks: readonly CheckResult[];
}

export interface TrendAnswer extends Whole {
  readonly at: number;
  readonly over_s: number;
  readonly times: readonly number[];
  readonly p50: readonly (number | null)[];
  readonly p95: readonly (number | null)[];
  readonly p99: readonly (number | null)[];
}

const BASE = "/api/v1/admin/analytics";

export function askHealth(): Promise<Reply<SystemHealth>> {
  return ask(`${BASE}/system-health`);
}

export function askHistory(names: readonly string[]): Promise<Reply<HistoryAnswer>> {
  const parameters = new URLSearchParams(names.map((name) => ["name", name]));
  return ask(`${BASE}/history?${parameters}`);
}

export function askTrend(metric: string): Promise<Reply<TrendAnswer>> {
  return ask(`${BASE}/performance-history?${new URLSearchParams({ metric })}`);
}
