/**
 * The operators' HTTP API: one question, one answer, and every failure as an error object that can be shown. It must not
 * know which page asks.
 */
import type { Json } from "../client/index";
import { isObject } from "../state/quote-wire";
import type { ErrorObject } from "./wire";

/** `status` 0: there was no answer at all. */
export interface Problem extends ErrorObject {
  readonly status: number;
  readonly correlationId: string;
  /** What is wrong with single fields, if that is what it is. */
  readonly errors?: readonly FieldError[];
}

export interface FieldError {
  readonly field: string;
  readonly message: string;
  /** For programs: a code, and what it names. */
  readonly reason: Json | undefined;
}

export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** A node that lives longer than this without an answer is away; the server itself waits for other nodes for 2 s. */
const PATIENCE_MS = 10_000;
/** A list of all nodes is gathered whole before its first byte, and may be long. */
const FILE_PATIENCE_MS = 120_000;

export function ask<T>(path: string, init: RequestInit = {}): Promise<Reply<T>> {
  const headers = {
    Accept: "application/json",
    ...(init.body === undefined ? {} : { "Content-Type": "application/json" }),
  };
  return request(path, { ...init, headers }, PATIENCE_MS, async (answer) => (await answer.json()) as T);
}

/** A file as the server names and makes it. */
export function takeFile(path: string): Promise<Reply<{ readonly name: string; readonly content: Blob }>> {
  return request(path, {}, FILE_PATIENCE_MS, async (answer) => {
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
    return { name: name ?? "tidewire", content: await answer.blob() };
  });
}

async function request<T>(
  path: string,
  init: RequestInit,
  patienceMs: number,
  read: (answer: Response) => Promise<T>,
): Promise<Reply<T>> {
  try {
    const signal = AbortSignal.timeout(patienceMs);
    const answer = await fetch(path, { ...init, signal, cache: "no-store" });
    if (answer.ok) return { ok: true, value: await read(answer) };
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

/** Whether a server refuses what is asked for, not who asks. */
export function isRefusedQuestion(status: number): boolean {
  return status === 400 || status === 404 || status === 422;
}

export function silence(reason: string): Problem {
  return { status: 0, code: "no_answer", message: reason, required_action: "", will_not: "", correlationId: "" };
}

export async function refusal(answer: Response): Promise<Problem> {
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
    errors: fieldErrors(said["errors"]),
    details: said["details"] as Json | undefined,
  };
}

function fieldErrors(errors: unknown): FieldError[] {
  const found = Array.isArray(errors) ? (errors as Json[]).filter(isObject) : [];
  return found.map((one) => ({ field: String(one["field"]), message: String(one["message"]), reason: one["reason"] }));
}
