/** What is known of one connection, as words and a table of its rooms. It must not know where it comes from. */
import type { RoomOfConnection, WholeConnection } from "../socket/closeup-api";
import { programOf } from "../state/program";
import { element, find, setAttribute, setText } from "./dom";
import { ago, bytes, count, decimal, exact, milliseconds, NONE, span, t, word } from "./text";

export function drawFacts(root: ParentNode, row: WholeConnection, now: number): void {
  const fact = (name: string, text: string, title = ""): void => {
    const place = find(root, `[data-fact="${name}"]`);
    setText(place, text === "" ? NONE : text);
    setAttribute(place, "title", title === "" ? null : title);
  };
  const { replaced, dropped, given_up } = row;
  const parts = { replaced: count(replaced), dropped: count(dropped), given_up: count(given_up) };
  const rate = (perSecond: number, messages: number, size: number): string =>
    t("closeup.flow", { rate: decimal(perSecond), messages: count(messages), bytes: bytes(size) });
  fact("user", [row.username ?? t("connections.nobody"), row.role ?? ""].filter((one) => one !== "").join(", "));
  fact("ip", row.ip);
  fact("node", row.node, row.instance);
  fact("program", programOf(row.user_agent), row.user_agent);
  fact("protocol", row.protocol);
  fact("path", row.path);
  fact("uptime", span(now - row.connected_at), t("connections.since", { time: exact(row.connected_at) }));
  fact("activity", ago(Math.max(0, now - row.last_activity)), exact(row.last_activity));
  fact("rtt", milliseconds(row.round_trip_ms));
  fact("in", rate(row.messages_in_per_second, row.messages_in, row.bytes_in));
  fact("out", rate(row.messages_out_per_second, row.messages_out, row.bytes_out));
  fact(
    "confirmed",
    t("closeup.confirmed.of", { confirmed: count(row.confirmed_sequence), sent: count(row.messages_out) }),
  );
  fact("queue", bytes(row.queued_bytes), t("connections.queued.messages", { count: count(row.queued_messages) }));
  fact("missed", count(row.missed), t("connections.missed.parts", parts));
  fact("login", row.session_id ?? "");
  fact(
    "expires",
    row.expires_at === null ? "" : span(row.expires_at - now),
    row.expires_at === null ? "" : exact(row.expires_at),
  );
}

/** The rooms, in the order of their names; a row is made once and then only written. */
export function drawRooms(body: HTMLElement, rooms: readonly RoomOfConnection[]): void {
  const rows = new Map(
    [...body.children].map((row) => [(row as HTMLElement).dataset["room"] ?? "", row as HTMLElement]),
  );
  const sorted = [...rooms].sort((one, other) => (one.room_id < other.room_id ? -1 : 1));
  const names = new Set(sorted.map((room) => room.room_id));
  for (const [name, row] of rows) if (!names.has(name)) row.remove();
  for (const [i, room] of sorted.entries()) {
    const row = rows.get(room.room_id) ?? roomRow(room.room_id);
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
    const standing = room.suspended ? t("closeup.suspended") : room.member ? t("closeup.member") : "";
    const cells: Record<string, string> = {
      delivery: word("rooms.delivery", room.delivery),
      offset: count(room.offset),
      members: count(room.members),
      queue: bytes(room.queued_bytes),
      lost: count(room.lost),
      standing,
    };
    for (const [name, text] of Object.entries(cells)) setText(find(row, `[data-cell="${name}"]`), text);
    setAttribute(find(row, '[data-cell="queue"]'), "data-tone", room.queued_bytes > 0 ? "warn" : null);
    setAttribute(find(row, '[data-cell="lost"]'), "data-tone", room.lost > 0 ? "warn" : null);
    setAttribute(find(row, '[data-cell="offset"]'), "title", room.epoch);
    const held = t("connections.queued.messages", { count: count(room.queued_messages) });
    setAttribute(find(row, '[data-cell="queue"]'), "title", held);
  }
}

function roomRow(name: string): HTMLElement {
  const link = element(
    "a",
    { href: `/admin/trace?${new URLSearchParams({ room: name })}`, title: t("rooms.trace") },
    name,
  );
  const cell = (key: string, label: string, classes = ""): HTMLElement =>
    element("td", { "data-cell": key, "data-label": label, class: classes });
  return element(
    "tr",
    { "data-room": name, "data-testid": "room" },
    element("th", { scope: "row" }, link),
    cell("delivery", t("rooms.delivery")),
    cell("offset", t("rooms.offset"), "num"),
    cell("members", t("closeup.members"), "num"),
    cell("queue", t("connections.queued"), "num"),
    cell("lost", t("connections.missed"), "num"),
    cell("standing", t("closeup.standing")),
  );
}
