/**
 * A live trace: lines of JSON that come until the trace ends or is left. Types follow src/tidewire/monitoring/trace_*.py.
 * It must not know who shows them.
 */
import type { FrameLine } from "../state/trace-log";
import { ask, post, type Problem, refusal, type Reply, silence } from "./admin-api";
import type { Whole } from "./connections-api";

export interface Began {
  readonly type: "trace_started";
  readonly kind: "connection" | "user" | "room";
  readonly name: string;
  readonly connection_id: string;
  readonly username: string | null;
  readonly node: string;
  readonly connections: number;
  readonly by: string;
  readonly at: number;
  readonly seconds: number;
  readonly max_bytes: number;
}

export interface Ended {
  readonly type: "trace_ended";
  readonly at: number;
  readonly reason: string;
  readonly frames: number;
  readonly bytes: number;
  readonly dropped: number;
}

export type Line = Began | Ended | FrameLine | { readonly type: "alive"; readonly at: number };

export interface RunningTrace {
  readonly kind: "connection" | "user" | "room";
  readonly name: string;
  readonly by: string;
  readonly since: number;
  readonly until: number;
}

export interface TracesAnswer extends Whole {
  readonly traces: readonly RunningTrace[];
}

export interface ReadMessage {
  readonly type: string;
  readonly struct: string;
  readonly fit: "fits" | "unknown_type" | "broken" | "no_json" | "altered" | "control";
  readonly problem: string;
  readonly decoded: string;
}

export interface ReadFrame {
  readonly batch: boolean;
  readonly sequence: number | null;
  readonly messages: readonly ReadMessage[];
}

const TRACES = "/api/v1/admin/traces";

/** What is traced; of a connection its id. */
export interface Traced {
  readonly kind: "connection" | "user" | "room";
  readonly name: string;
}

export function listTraces(): Promise<Reply<TracesAnswer>> {
  return ask(TRACES);
}

/** Which messages a frame holds, and whether they fit the contract. */
export function readFrame(line: FrameLine): Promise<Reply<ReadFrame>> {
  return post(`${TRACES}/read`, line);
}

/**
 * Traces until the server ends it or `signal` does; `take` gets the lines as they come. Returns what went wrong; null if
 * it ended as it should.
 */
export async function trace(
  target: Traced,
  seconds: number,
  signal: AbortSignal,
  take: (lines: readonly Line[]) => void,
): Promise<Problem | null> {
  const query = new URLSearchParams({ seconds: String(seconds) });
  if (target.kind !== "connection") query.set(target.kind, target.name);
  const one = `/api/v1/admin/connections/${encodeURIComponent(target.name)}/trace`;
  const path = target.kind === "connection" ? one : `${TRACES}/stream`;
  try {
    const answer = await fetch(`${path}?${query}`, { signal, cache: "no-store" });
    if (!answer.ok || answer.body === null) return await refusal(answer);
    await readLines(answer.body, take);
    return null;
  } catch (error) {
    if (signal.aborted) return null;
    // TypeError: the connection broke. SyntaxError: it broke in the middle of a line.
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    return silence(error.message);
  }
}

async function readLines(body: ReadableStream<Uint8Array>, take: (lines: readonly Line[]) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    take(parts.filter((part) => part !== "").map((part) => JSON.parse(part) as Line));
  }
}
