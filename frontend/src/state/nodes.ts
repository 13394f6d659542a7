/** What is wrong with the nodes and with how they reach the broker. Pure; words are ui/'s. */
import type { FeedStatus, NodeShown, Reach } from "../socket/wire";

export type Tone = "ok" | "warn" | "error";

export interface Trouble {
  part: string;
  reach: Reach;
}

export function toneOf(reach: Reach): Tone {
  if (reach.state === "up") return reach.circuit === null || reach.circuit === "closed" ? "ok" : "warn";
  return reach.state === "down" ? "error" : "warn";
}

const WEIGHT: Record<Tone, number> = { ok: 0, warn: 1, error: 2 };

/** The worst of what a node reaches, the one that broke first if two are alike; null while all is well. */
export function worstReach(node: NodeShown): Trouble | null {
  let worst: Trouble | null = null;
  for (const [part, reach] of Object.entries(node.reach)) {
    const weight = WEIGHT[toneOf(reach)];
    const before = worst === null ? 0 : WEIGHT[toneOf(worst.reach)];
    if (weight > before || (worst !== null && weight === before && reach.since < worst.reach.since)) {
      worst = { part, reach };
    }
  }
  return worst;
}

/** The trouble of the node that serves this page. */
export function ownTrouble(status: FeedStatus): Trouble | null {
  const own = status.nodes?.find((node) => node.this);
  return own === undefined ? null : worstReach(own);
}

/** The other nodes that are in trouble or not heard of. While our own bus is down nobody is heard, and none is blamed. */
export function otherTroubles(status: FeedStatus): { node: NodeShown; trouble: Trouble | null }[] {
  const own = status.nodes?.find((node) => node.this);
  if (own?.reach["bus"]?.state === "down") return [];
  return (status.nodes ?? [])
    .filter((node) => !node.this)
    .map((node) => ({ node, trouble: worstReach(node) }))
    .filter(({ node, trouble }) => node.overdue || trouble !== null);
}

/** Whether there is anything to show: one process on its own bus has nothing to lose. */
export function worthShowing(status: FeedStatus): boolean {
  const nodes = status.nodes ?? [];
  return nodes.length > 1 || nodes.some((node) => Object.values(node.reach).some((reach) => reach.kind !== "memory"));
}
