/**
 * Frames of both subprotocols as numbered messages, and client messages as text. Pure.
 * It must not know what a message means. Whatever is not the protocol throws FrameFault; nothing is guessed.
 * Source: docs/protocol.md, "Subprotocols and sequence".
 */
import type { Failure } from "./event.ts";
import type { Json, Reply } from "./wire.ts";
import type { Shape } from "./wire-shapes.ts";
import { REPLY_SHAPE } from "./wire-shapes.ts";

export type Body = { readonly type: string } & Readonly<Record<string, Json>>;

/** The largest nesting that the server reads. */
const MAX_DEPTH = 16;

/** The server sent what is not the protocol; the message is the reason for the close frame. */
export class FrameFault extends Error {}

/** Yields each message of a frame with its sequence. */
export function* readFrame(text: string, batch: boolean): Generator<readonly [number, Body]> {
  if (!batch) {
    const { sequence, ...body } = object(text);
    if (!Number.isInteger(sequence)) throw new FrameFault("no_sequence");
    yield [sequence as number, body as Body];
    return;
  }
  const end = text.indexOf("\n");
  const head = end < 0 ? text : text.slice(0, end);
  if (!/^\d+$/.test(head) || end < 0 || end === text.length - 1) throw new FrameFault("no_sequence");
  let sequence = Number(head);
  for (const line of text.slice(end + 1).split("\n")) yield [sequence++, object(line)];
}

/** Returns a control message as its type. */
export function read<T>(body: Body, shape: Shape): T {
  if (!fits(body, shape)) throw new FrameFault("bad_message");
  return body as unknown as T;
}

/** The id (null if it is not one of ours), the data and the failure of a reply. */
export function readReply(body: Body): { id: number | null; data: Json; failure: Failure | null } {
  const reply = read<Reply>(body, REPLY_SHAPE);
  const id = typeof reply.id === "number" ? reply.id : null;
  if (reply.ok) return { id, data: body["data"] ?? null, failure: null };
  const error = reply.error;
  if (error === undefined || error === null) throw new FrameFault("bad_message");
  const failure: Failure = {
    code: error.code,
    message: error.message,
    requiredAction: error.required_action,
    willNot: error.will_not,
    temporary: error.temporary ?? false,
    retryAfterMs: error.retry_after_ms ?? null,
    ...(error.details === undefined ? {} : { details: error.details }),
  };
  return { id, data: null, failure };
}

/** Whether `value` is nested more than `levels` deep. */
export function tooDeep(value: Json | undefined, levels = MAX_DEPTH): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => tooDeep(child, levels - 1));
}

/** How many bytes `text` has in UTF-8; TextEncoder is not part of the language, and would copy. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x800) bytes += unit >= 0xd800 && unit < 0xe000 ? 1 : 2;
    else if (unit >= 0x80) bytes += 1;
  }
  return bytes;
}

function object(text: string): Body {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FrameFault("not_json");
  }
  if (!isRecord(value) || typeof value["type"] !== "string") throw new FrameFault("no_type");
  return value as Body;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fits(value: unknown, shape: Shape): boolean {
  switch (shape.kind) {
    case "json":
      return value !== undefined;
    case "integer":
      return Number.isInteger(value);
    case "word":
      return typeof value === "string" && shape.words.includes(value);
    case "list":
      return Array.isArray(value) && value.every((item) => fits(item, shape.of));
    case "object":
      return isRecord(value) && Object.entries(shape.fields).every(([name, part]) => has(value, name, part, shape));
    default:
      return typeof value === shape.kind;
  }
}

function has(value: Record<string, unknown>, name: string, part: Shape, whole: Shape & { kind: "object" }): boolean {
  const member = value[name];
  return ((member === undefined || member === null) && whole.optional.includes(name)) || fits(member, part);
}
