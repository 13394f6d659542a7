/**
 * A quote's messages and documents as the pages read them. What does not fit is refused as a whole, never half read.
 * Pure; it must not know sockets or what a page makes of them.
 * Source: docs/quotes.md; docs/protocol.md.
 */
import type { Fields, Json } from "../client/index";

export type Status = "draft" | "quoted" | "bound" | "expired";
export const STATUSES: readonly Status[] = ["draft", "quoted", "bound", "expired"];

/** One field as it is; `by` and `at` are null if it was never set. Times are Unix seconds. */
export interface FieldState {
  readonly value: Json;
  readonly revision: number;
  readonly by: string | null;
  readonly at: number | null;
}

export interface PremiumLine {
  readonly code: string;
  readonly label: string;
  readonly amount?: string;
  readonly factor?: string;
  readonly detail?: string;
}

export interface Premium {
  readonly amount: string;
  readonly currency: string;
  readonly term_months: number;
  readonly plan: string;
  readonly based_on_version: number;
  readonly at: number;
  readonly breakdown: readonly PremiumLine[];
}

/** `premium` is undefined for those who may not see it, null while there is none. */
export interface Head {
  readonly status: Status;
  readonly created_at: number;
  readonly created_by: string;
  readonly updated_at: number;
  readonly expires_at: number | null;
  readonly premium?: Premium | null;
}

/** A whole quote, from the socket or over HTTP. */
export interface QuoteDocument {
  readonly version: number;
  readonly quote: Head;
  readonly fields: Readonly<Record<string, FieldState>>;
  readonly editable: boolean;
}

export interface Editor {
  readonly connectionId: string;
  readonly userId: number;
  readonly username: string;
  readonly field: string | null;
  readonly typing: boolean;
}

/** One change with its place; `field` is a form's field, or what of the quote itself has changed. */
export type Update =
  | {
      readonly kind: "field";
      readonly version: number;
      readonly field: string;
      readonly state: FieldState;
      readonly opId: string | null;
    }
  | { readonly kind: "status"; readonly version: number; readonly at: number; readonly by: string; readonly data: Json }
  | {
      readonly kind: "premium";
      readonly version: number;
      readonly at: number;
      readonly by: string;
      readonly data: Json;
    };

/** Why a calculation came to nothing; `fields` says it per fact. */
export interface ProgressError {
  readonly code: string;
  readonly message: string;
  readonly required_action: string;
  readonly will_not: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** How far a calculation is, in per cent; `stage` is the server's word, also for how it ended. */
export interface Progress {
  readonly calculationId: string;
  readonly serial: number;
  readonly basedOnVersion: number;
  readonly stage: string;
  readonly percent: number;
  readonly ended: boolean;
  readonly error: ProgressError | null;
}

export type QuoteMessage =
  | { readonly type: "state"; readonly document: QuoteDocument; readonly editors: readonly Editor[] }
  | { readonly type: "update"; readonly update: Update }
  | { readonly type: "focus"; readonly editor: Editor }
  | { readonly type: "progress"; readonly progress: Progress };

/** Reads a message of a quote's room; null if it is none that a page knows. */
export function readMessage(kind: string, fields: Fields): QuoteMessage | null {
  if (kind === "quote_state") {
    const document = readDocument(fields);
    return document === null ? null : { type: "state", document, editors: list(fields["editors"]).flatMap(readEditor) };
  }
  if (kind === "field_focus")
    return readEditor(fields).map((editor) => ({ type: "focus", editor }) as const)[0] ?? null;
  if (kind === "calculation_progress") return readProgress(fields);
  const update = kind === "field_update" ? readField(fields) : kind === "quote_update" ? readQuote(fields) : null;
  return update === null ? null : { type: "update", update };
}

/** Reads a whole quote; null if that is none. */
export function readDocument(fields: Fields): QuoteDocument | null {
  const { version, quote, editable } = fields;
  if (typeof version !== "number" || !isObject(quote) || !isObject(fields["fields"])) return null;
  if (!STATUSES.includes(quote["status"] as Status)) return null;
  return {
    version,
    quote: quote as unknown as Head,
    fields: fields["fields"] as unknown as Record<string, FieldState>,
    editable: editable === true,
  };
}

/** Reads what a conflict says of the present value. */
export function readTheirs(details: Json): FieldState | null {
  if (!isObject(details) || typeof details["revision"] !== "number") return null;
  return {
    value: details["value"] ?? null,
    revision: details["revision"],
    by: typeof details["by"] === "string" ? details["by"] : null,
    at: typeof details["at"] === "number" ? details["at"] : null,
  };
}

export function isObject(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two values of a field are the same; fields hold text, numbers, booleans and null only. */
export function same(one: Json, other: Json): boolean {
  return one === other;
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function readEditor(value: Json | Fields): Editor[] {
  const { connection_id, user_id, username, field, typing } = value as Fields;
  if (typeof connection_id !== "string" || typeof username !== "string") return [];
  return [
    {
      connectionId: connection_id,
      userId: typeof user_id === "number" ? user_id : 0,
      username,
      field: typeof field === "string" ? field : null,
      typing: typing === true,
    },
  ];
}

function readField(fields: Fields): Update | null {
  const { field, value, revision, version, updated_by, updated_at, op_id } = fields;
  if (typeof field !== "string" || typeof revision !== "number" || typeof version !== "number") return null;
  return {
    kind: "field",
    version,
    field,
    state: {
      value: value ?? null,
      revision,
      by: typeof updated_by === "string" ? updated_by : null,
      at: typeof updated_at === "number" ? updated_at : null,
    },
    opId: typeof op_id === "string" ? op_id : null,
  };
}

function readQuote(fields: Fields): Update | null {
  const { update_type: kind, version, updated_at, updated_by, data } = fields;
  if ((kind !== "status" && kind !== "premium") || typeof version !== "number") return null;
  const [at, by] = [typeof updated_at === "number" ? updated_at : 0, typeof updated_by === "string" ? updated_by : ""];
  return { kind, version, at, by, data: data ?? null };
}

function readProgress(fields: Fields): QuoteMessage | null {
  const { calculation_id, serial, based_on_version, stage, progress, ended, error } = fields;
  if (typeof calculation_id !== "string" || typeof stage !== "string") return null;
  return {
    type: "progress",
    progress: {
      calculationId: calculation_id,
      serial: numberOf(serial),
      basedOnVersion: numberOf(based_on_version),
      stage,
      percent: Math.min(100, Math.max(0, numberOf(progress))),
      ended: ended === true,
      error: isObject(error) ? readError(error) : null,
    },
  };
}

function readError(error: { readonly [name: string]: Json }): ProgressError {
  const text = (name: string): string => (typeof error[name] === "string" ? error[name] : "");
  const details = error["details"];
  const named = isObject(details) && isObject(details["fields"]) ? Object.entries(details["fields"]) : [];
  return {
    code: text("code"),
    message: text("message"),
    required_action: text("required_action"),
    will_not: text("will_not"),
    fields: Object.fromEntries(named.map(([name, reason]) => [name, String(reason)])),
  };
}

function numberOf(value: Json | undefined): number {
  return typeof value === "number" ? value : 0;
}
