/**
 * What the page says about its own connection to the hub: since when it is down, when the next attempt is, why it has
 * ended. Pure; it must not know sockets.
 */
import type { Link } from "../client/index";

/** Times are Unix milliseconds of the local clock. */
export type StreamLink =
  | { readonly kind: "connecting"; readonly downSince: number | null }
  | { readonly kind: "live" }
  | { readonly kind: "waiting"; readonly downSince: number; readonly retryAt: number; readonly reason: string | null }
  | { readonly kind: "ended"; readonly at: number; readonly reason: string };

export const FRESH_LINK: StreamLink = { kind: "connecting", downSince: null };

/** Since when there is no connection; null while there is one, or before the first. */
export function downSince(link: StreamLink): number | null {
  return link.kind === "connecting" || link.kind === "waiting" ? link.downSince : null;
}

/** Applies what the client says. */
export function follow(link: StreamLink, said: Link, nowMs: number): StreamLink {
  const since = downSince(link);
  if (said.state === "connected") return { kind: "live" };
  if (said.state === "connecting") return { kind: "connecting", downSince: since };
  if (said.state === "ended") return { kind: "ended", at: nowMs, reason: said.reason ?? String(said.code ?? "closed") };
  return { kind: "waiting", downSince: since ?? nowMs, retryAt: nowMs + said.retryInMs, reason: said.reason };
}
