/**
 * The operators' HTTP API: one question, one answer, and every failure as an error object that can be shown. It must not
 * know which page asks.
 */
import type { ErrorObject } from "./wire";

/** `status` 0: there was no answer at all. */
export interface Problem extends ErrorObject {
  readonly status: number;
  readonly correlationId: string;
}

export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** A node that lives longer than this without an answer is away; the server itself waits for other nodes for 2 s. */
const PATIENCE_MS = 10_000;

export async function ask<T>(path: string, init: RequestInit = {}): Promise<Reply<T>> {
  const headers = {
    Accept: "application/json",
    ...(init.body === undefined ? {} : { "Content-Type": "application/json" }),
  };
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(path, { ...init, headers, signal, cache: "no-store" });
    if (answer.ok) return { ok: true, value: (await answer.json()) as T };
    return { ok: false, problem: await refusal(answer) };
  } catch (error) {
    // TypeError: no network. DOMException: it took too long. SyntaxError: cut off in the middle.
    if (!(error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError)) throw error;
    return { ok: false, problem: silence(error.message) };
  }
}

export function post<T>(path: string, body: unknown): Promise<Reply<T>> {
  return ask<T>(path, { method: "POST", body: JSON.stringify(body) });
}

/** Whether asking again can help: the network or the server is away. Otherwise it is an answer, and a final one. */
export function isPassing(problem: Problem): boolean {
  return problem.status === 0 || problem.status >= 500 || problem.status === 429;
}

function silence(reason: string): Problem {
  return { status: 0, code: "no_answer", message: reason, required_action: "", will_not: "", correlationId: "" };
}

async function refusal(answer: Response): Promise<Problem> {
  const said = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  const text = (name: string): string => {
    const value = said[name];
    return typeof value === "string" ? value : "";
  };
  return {
    status: answer.status,
    code: text("code") || `http_${answer.status}`,
    message: text("detail") || answer.statusText,
    required_action: text("required_action"),
    will_not: text("will_not"),
    correlationId: text("correlation_id"),
  };
}
