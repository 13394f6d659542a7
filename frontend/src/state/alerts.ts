/** What the page must say above everything else, in order of weight. Pure; words and buttons are ui/'s. */
import type { LinkState } from "../socket/admin-channel";
import type { ErrorObject, FeedStatus, NodeShown } from "../socket/wire";
import type { Notice } from "./dashboard";
import { otherTroubles, ownTrouble, type Trouble } from "./nodes";

export type Alert =
  | { kind: "ended"; error: ErrorObject }
  /** `retryAt` in Unix seconds; null while an attempt is under way. */
  | { kind: "reconnecting"; since: number; retryAt: number | null }
  | { kind: "broker"; trouble: Trouble }
  | { kind: "node"; node: NodeShown; trouble: Trouble | null }
  | { kind: "silent"; since: number }
  | { kind: "paused"; by: string; since: number; reason: string }
  | { kind: "notice"; error: ErrorObject; at: number }
  | { kind: "loop"; name: string; reason: string }
  | { kind: "warning"; text: string }
  | { kind: "bus_errors"; count: number; reason: string; at: number };

export interface AlertInput {
  link: LinkState;
  /** Since when the link is down, Unix seconds; null while it is up or was never up. */
  downSince: number | null;
  status: FeedStatus | null;
  notices: readonly Notice[];
  /** How many bus errors the reader has dismissed. */
  busErrorsSeen: number;
}

export function alerts(input: AlertInput): Alert[] {
  const found: Alert[] = [];
  const { link, status } = input;
  if (link.kind === "ended") found.push({ kind: "ended", error: link.error });
  else if (link.kind === "waiting")
    found.push({ kind: "reconnecting", since: link.since / 1000, retryAt: link.retryAt / 1000 });
  else if (link.kind === "connecting" && input.downSince !== null) {
    found.push({ kind: "reconnecting", since: input.downSince, retryAt: null });
  }
  const said = notices(input);
  if (status === null) return [...found, ...said];
  const silent = status.feed_silent_since ?? null;
  // What a page that is cut off has last heard of the nodes may be over.
  if (link.kind === "live") found.push(...nodes(status));
  // While this page is cut off it cannot know whether the feed is silent.
  if (silent !== null && link.kind === "live") found.push({ kind: "silent", since: silent });
  const { paused } = status;
  if (paused) found.push({ kind: "paused", by: paused.by, since: paused.since, reason: paused.reason ?? "" });
  found.push(...said, ...loops(status));
  // The server's own sentence on a silent feed would say the same twice.
  if (silent === null) for (const text of status.warnings ?? []) found.push({ kind: "warning", text });
  const bus = status.bus_errors;
  if (bus !== undefined && bus.count > input.busErrorsSeen && bus.last_at !== null) {
    found.push({ kind: "bus_errors", count: bus.count, reason: bus.last_reason ?? "", at: bus.last_at });
  }
  return found;
}

/** What the server says before it ends a session; the banner of the ended session says it better. */
const PARTING = new Set(["logged_out", "unauthorized", "permission_denied"]);

function notices(input: AlertInput): Alert[] {
  const kept =
    input.link.kind === "ended" ? input.notices.filter(({ error }) => !PARTING.has(error.code)) : input.notices;
  return kept.map(({ error, at }) => ({ kind: "notice", error, at }));
}

function nodes(status: FeedStatus): Alert[] {
  const own = ownTrouble(status);
  const others = otherTroubles(status).map(({ node, trouble }): Alert => ({ kind: "node", node, trouble }));
  return own === null ? others : [{ kind: "broker", trouble: own }, ...others];
}

/** Loops of the web process that have died or stand still: what they bring is missing or old. */
function loops(status: FeedStatus): Alert[] {
  return Object.entries(status.loops ?? {})
    .filter(([, loop]) => !loop.running || (loop.last_run_age ?? 0) > 10 * loop.interval + 2)
    .map(([name, loop]) => ({ kind: "loop", name, reason: loop.last_error ?? "" }));
}

/** Since when the figures are old, Unix seconds; null while they are fresh. */
export function staleSince(input: AlertInput): number | null {
  const silent = input.status?.feed_silent_since ?? null;
  if (silent !== null) return silent;
  if (input.link.kind === "waiting") return input.link.since / 1000;
  if (input.link.kind === "ended") return input.downSince ?? input.link.since / 1000;
  return input.link.kind === "connecting" ? input.downSince : null;
}
