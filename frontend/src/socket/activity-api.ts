/** The activity log over HTTP: older rows, which actions there are, what an export's address is. */
import type { ActivityRow } from "../state/activity-list";
import type { Filters } from "./activity-channel";
import { ask, type Reply } from "./admin-api";

const LOG = "/api/v1/admin/activity";
const OLDER_ROWS = 100;

export interface ActivityAnswer {
  readonly activity: readonly ActivityRow[];
  readonly cursor: string | null;
}

export interface ActionsAnswer {
  readonly actions: readonly string[];
  readonly masked: boolean;
  readonly may_export: boolean;
}

export function listOlder(filters: Filters, cursor: string): Promise<Reply<ActivityAnswer>> {
  return ask(`${LOG}?${new URLSearchParams({ ...filters, cursor, limit: String(OLDER_ROWS) })}`);
}

export function listActions(): Promise<Reply<ActionsAnswer>> {
  return ask(`${LOG}/actions`);
}

export function exportAddress(format: "csv" | "ndjson", filters: Filters, masked: boolean): string {
  const words = new URLSearchParams({ format, ...filters });
  if (masked) words.set("mask_addresses", "true");
  return `${LOG}/export?${words}`;
}
