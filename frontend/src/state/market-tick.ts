/** Reads a market room's message into a quote. Pure. What is no tick is left out: a page must not die of a stranger's field. */
import type { RoomMessage } from "../client/index";
import type { Quote } from "./watch-list";

export const ROOM_PREFIX = "market:";

export function readTick(message: RoomMessage): Quote | null {
  const data = message.fields["data"];
  if (message.kind !== "tick" || typeof data !== "object" || data === null || Array.isArray(data)) return null;
  const { price, volume, timestamp, source, connection_id: owner } = data;
  if (typeof price !== "number" || !(price > 0) || typeof volume !== "number" || typeof timestamp !== "number")
    return null;
  return {
    price,
    volume,
    at: timestamp,
    taken: message.timestamp,
    source: typeof source === "string" ? source : "",
    owner: typeof owner === "string" ? owner : null,
  };
}
