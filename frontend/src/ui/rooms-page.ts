/** The page of rooms: a live list, from each of whose rows a link leads to the connections in it. */
import { listRooms, type RoomRow } from "../socket/rooms-api";
import type { ListShape } from "../state/list-query";
import { element, find, icon, setAttribute, setText } from "./dom";
import { ListPage } from "./list-page";
import { type Column, figures, words } from "./list-row";
import { bytes, count, decimal, t, word } from "./text";

export const SHAPE: ListShape = {
  fields: ["text", "prefix", "node"],
  sort: "room_id",
  sorts: {
    room_id: false,
    members: true,
    present: true,
    messages_per_second: true,
    published: true,
    offset: true,
    history_messages: true,
  },
};

const COLUMNS: readonly Column<RoomRow>[] = [
  {
    key: "room_id",
    make(cell) {
      cell.append(element("span", { class: "list-name" }));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), row.room_id);
      setAttribute(cell, "title", row.room_id);
    },
  },
  {
    key: "members",
    classes: "num",
    make(cell) {
      cell.append(element("a", { "data-testid": "members" }));
    },
    draw(cell, row) {
      const link = find<HTMLAnchorElement>(cell, "a");
      setText(link, count(row.members));
      setAttribute(link, "href", `/admin/connections?${new URLSearchParams({ room: row.room_id })}`);
      setAttribute(link, "aria-label", t("rooms.members_of", { count: count(row.members), room: row.room_id }));
      setAttribute(link, "title", row.nodes.map((node) => `${node.node}: ${count(node.members)}`).join(", "));
    },
  },
  figures("present", (row) => count(row.present)),
  figures("messages_per_second", (row) => decimal(row.messages_per_second)),
  figures("published", (row) => count(row.published)),
  figures("offset", (row) => count(row.offset)),
  words("epoch", (row) => (row.agreed ? row.epoch : `${row.epoch} (${t("rooms.disagree")})`), {
    classes: "list-tight",
    title: (row) => row.nodes.map((node) => `${node.node}: ${node.epoch}, ${count(node.offset)}`).join("; "),
  }),
  figures(
    "history_messages",
    (row) => count(row.history_messages),
    (row) => bytes(row.history_bytes),
  ),
  words("delivery", (row) => word("rooms.delivery", row.delivery)),
  words("nodes", (row) => row.nodes.map((node) => node.node).join(", "), {
    classes: "list-tight",
    title: (row) => row.nodes.map((node) => node.instance).join(", "),
  }),
  {
    key: "actions",
    classes: "list-actions",
    make(cell, id) {
      const said = t("rooms.trace_one", { room: id });
      const href = `/admin/trace?${new URLSearchParams({ room: id })}`;
      cell.append(
        element(
          "a",
          { href, class: "btn-icon", "aria-label": said, title: said, "data-testid": "trace" },
          icon("activity"),
        ),
      );
    },
    draw() {
      // The link is all there is.
    },
  },
];

export class RoomsPage {
  private exact = true;
  private readonly page = new ListPage<RoomRow>({
    shape: SHAPE,
    columns: COLUMNS,
    idOf: (row) => row.room_id,
    nameOf: (row) => row.room_id,
    list: async (parameters, keep) => {
      const reply = await listRooms(parameters, keep);
      if (!reply.ok) return reply;
      this.exact = reply.value.exact;
      return { ok: true, value: { ...reply.value, rows: reply.value.rooms } };
    },
    maybeOn: (row, instances) => row.nodes.some((node) => instances.has(node.instance)),
    trouble: () =>
      this.exact
        ? []
        : [{ key: "inexact", tone: "warn", title: t("rooms.inexact"), text: t("rooms.inexact.action"), actions: [] }],
  });

  start(): void {
    this.page.exportAs("rooms", "/api/v1/admin/rooms/export");
    this.page.start();
  }
}
