/**
 * The quotes' HTTP side as the pages use it. Every failure is an ApiError with the server's sentences, or ours if the
 * server could not be asked. It must not know the DOM. Source: docs/quotes.md, "HTTP".
 */
import type { Json } from "../client/index";
import { isObject } from "../state/quote-wire";

export interface FieldSpec {
  readonly name: string;
  readonly kind: "text" | "long_text" | "email" | "choice" | "integer" | "money" | "date" | "boolean";
  readonly label: string;
  readonly group: string;
  readonly low: number;
  readonly high: number;
  readonly allowed: readonly string[];
  readonly required: boolean;
  readonly rated: boolean;
  readonly needed: boolean;
}

export interface Row {
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly customer_name: string;
  readonly state: string;
  readonly vehicle: string;
  readonly driver_name: string | null;
  readonly premium_amount?: string | null;
  readonly created_by: string;
  readonly updated_at: number;
  readonly expires_at: number | null;
}

export interface Page {
  readonly quotes: readonly Row[];
  readonly next: string | null;
  readonly counts: Readonly<Record<string, number>>;
  /** Whether the person may make a quote now. */
  readonly may_create: boolean;
}

export interface Change {
  readonly version: number;
  readonly field: string;
  readonly revision: number;
  readonly before: Json;
  readonly after: Json;
  readonly at: number;
  readonly by: string;
  readonly reason: string;
  /** The reason as a code with what it names; null if somebody simply made the change. */
  readonly why: Json;
  readonly undoable: boolean;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly action: string;
  readonly willNot: string;
  readonly correlationId: string;
  /** Field -> what is wrong with it, for people and for programs. */
  readonly fields: ReadonlyMap<string, { readonly text: string; readonly why: Json }>;

  constructor(status: number, problem: { readonly [name: string]: Json }) {
    const text = (name: string): string => (typeof problem[name] === "string" ? problem[name] : "");
    super(text("detail"));
    this.status = status;
    this.code = text("code");
    this.action = text("required_action");
    this.willNot = text("will_not");
    this.correlationId = text("correlation_id");
    const errors = Array.isArray(problem["errors"]) ? problem["errors"].filter(isObject) : [];
    this.fields = new Map(
      errors.map((one) => [String(one["field"]), { text: String(one["message"]), why: one["reason"] ?? null }]),
    );
  }
}

const ROOT = "/api/v1/quotes";

export async function listQuotes(query: string): Promise<Page> {
  return (await ask("GET", query)) as unknown as Page;
}

export async function fieldSpecs(): Promise<readonly FieldSpec[]> {
  return ((await ask("GET", "/fields")) as unknown as { fields: FieldSpec[] }).fields;
}

/** Makes a quote and returns its id; the same key makes it once. */
export async function createQuote(fields: { readonly [name: string]: Json }, key: string): Promise<string> {
  return ((await ask("POST", "", { fields }, { "Idempotency-Key": key })) as unknown as { quote_id: string }).quote_id;
}

export async function listChanges(
  id: string,
  before: number | null,
  limit: number,
): Promise<{ changes: readonly Change[]; next: number | null }> {
  const query = `limit=${limit}${before === null ? "" : `&before=${before}`}`;
  return (await ask("GET", `/${id}/changes?${query}`)) as unknown as { changes: Change[]; next: number | null };
}

export async function undoChange(id: string, version: number, key: string): Promise<void> {
  await ask("POST", `/${id}/undo`, { version }, { "Idempotency-Key": key });
}

export async function bindQuote(id: string, version: number, key: string): Promise<void> {
  await ask("POST", `/${id}/bind`, {}, { "If-Match": `"${version}"`, "Idempotency-Key": key });
}

/** Begins a calculation; the same key begins it once. */
export async function calculateQuote(id: string, key: string): Promise<void> {
  await ask("POST", `/${id}/calculate`, {}, { "Idempotency-Key": key });
}

/** Whether this browser's login can still make a connection; fails with an ApiError if that cannot be found out. */
export async function loginStands(): Promise<boolean> {
  try {
    await ask("POST", "/api/v1/connection-token", undefined, {}, "");
    return true;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return false;
    throw error;
  }
}

async function ask(
  method: string,
  path: string,
  body?: Json,
  headers: Record<string, string> = {},
  root = ROOT,
): Promise<Json> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  let answer: Response;
  try {
    answer = await fetch(root + path, {
      method,
      headers: { Accept: "application/json", ...type, ...headers },
      ...sent,
    });
  } catch (error) {
    // fetch throws a TypeError when there was no answer at all.
    if (error instanceof TypeError) throw new ApiError(0, { code: "unreachable" });
    throw error;
  }
  const said = (await answer.json().catch(() => null)) as Json;
  if (!answer.ok) throw new ApiError(answer.status, isObject(said) ? said : { code: `http_${answer.status}` });
  return said;
}
