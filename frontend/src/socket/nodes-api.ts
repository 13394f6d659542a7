/** Which nodes take clients, as the API tells of it. Types follow src/tidewire/hub/node_drain.py. */
import { ask, post, type Reply } from "./admin-api";
import type { Whole } from "./connections-api";

export interface NodeState {
  readonly node: string;
  readonly instance: string;
  readonly connections: number;
  readonly accepting: boolean;
  readonly moving: boolean;
  readonly drained_by: string;
  readonly drained_at: number | null;
}

export interface NodeStates extends Whole {
  readonly nodes: readonly NodeState[];
  readonly at: number;
}

export interface Told {
  readonly outcome: "done" | "already";
  readonly state: NodeState;
}

const NODES = "/api/v1/admin/nodes";

export function nodeStates(): Promise<Reply<NodeStates>> {
  return ask(`${NODES}/states`);
}

/** `confirm`: the node's name as it was typed. */
export function drain(instance: string, confirm: string, reason: string, evenLast: boolean): Promise<Reply<Told>> {
  return post(`${NODES}/${encodeURIComponent(instance)}/drain`, { confirm, reason, even_last: evenLast });
}

export function accept(instance: string): Promise<Reply<Told>> {
  return post(`${NODES}/${encodeURIComponent(instance)}/accept`, {});
}
