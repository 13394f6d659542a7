/** The columns of a connection, living or closed. They must not know where rows come from. */
import type { ClosedRow, ConnectionRow } from "../socket/connections-api";
import { programOf } from "../state/program";
import { element, find, icon, setAttribute, setHidden, setText } from "./dom";
import { type Column, figures, words } from "./list-row";
import { closeWords } from "./server-words";
import { ago, bytes, count, decimal, exact, milliseconds, NONE, span, t } from "./text";

/** What a connection is called: its user, or that nobody has said who it is. */
export function nameOf(row: { readonly username: string | null }): string {
  return row.username ?? t("connections.nobody");
}

/** Something is held back for it, or it did not get something. */
export function isSlow(row: ConnectionRow): boolean {
  return row.queued_bytes > 0 || row.missed > 0;
}

/** The connection's own page. */
function linkTo(id: string): HTMLElement {
  return element("a", {
    class: "list-name",
    href: `/admin/connections/${encodeURIComponent(id)}`,
    "data-testid": "open",
  });
}

export const CONNECTION_COLUMNS: readonly Column<ConnectionRow>[] = [
  {
    key: "username",
    make(cell, id) {
      cell.append(linkTo(id), element("span", { class: "list-small" }, id));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), nameOf(row));
      setAttribute(cell, "title", [row.role ?? "", row.path, row.protocol].filter((one) => one !== "").join(" · "));
    },
  },
  words("ip", (row) => row.ip, { classes: "list-tight" }),
  words("node", (row) => row.node, { classes: "list-tight", title: (row) => row.instance }),
  figures(
    "rooms",
    (row) => count(row.room_count),
    (row) => [...row.rooms, ...(row.room_count > row.rooms.length ? ["…"] : [])].join(", "),
  ),
  figures(
    "messages_in_per_second",
    (row) => decimal(row.messages_in_per_second),
    (row) => t("connections.in.sum", { count: count(row.messages_in), bytes: bytes(row.bytes_in) }),
  ),
  figures(
    "messages_out_per_second",
    (row) => decimal(row.messages_out_per_second),
    (row) => t("connections.out.sum", { count: count(row.messages_out), bytes: bytes(row.bytes_out) }),
  ),
  {
    key: "queued_bytes",
    classes: "num",
    make(cell) {
      cell.append(warning(), element("span"));
    },
    draw(cell, row) {
      setHidden(find(cell, ".list-warn"), row.queued_bytes === 0);
      setText(find(cell, ":scope > span:last-child"), bytes(row.queued_bytes));
      setAttribute(cell, "data-tone", row.queued_bytes > 0 ? "warn" : null);
      setAttribute(cell, "title", t("connections.queued.messages", { count: count(row.queued_messages) }));
    },
  },
  {
    key: "missed",
    classes: "num",
    make(cell) {
      cell.append(warning(), element("span"));
    },
    draw(cell, row) {
      setHidden(find(cell, ".list-warn"), row.missed === 0);
      setText(find(cell, ":scope > span:last-child"), count(row.missed));
      setAttribute(cell, "data-tone", row.missed > 0 ? "warn" : null);
      const { replaced, dropped, given_up } = row;
      const parts = { replaced: count(replaced), dropped: count(dropped), given_up: count(given_up) };
      setAttribute(cell, "title", t("connections.missed.parts", parts));
    },
  },
  figures("round_trip_ms", (row) => milliseconds(row.round_trip_ms)),
  figures(
    "last_activity",
    (row, { now }) => ago(Math.max(0, now - row.last_activity)),
    (row) => exact(row.last_activity),
  ),
  figures(
    "connected_at",
    (row, { now }) => span(now - row.connected_at),
    (row) => t("connections.since", { time: exact(row.connected_at) }),
  ),
  words("user_agent", (row) => programOf(row.user_agent) || NONE, {
    classes: "list-tight",
    title: (row) => row.user_agent,
  }),
];

/** How long a trace that is taken from the list goes on; leaving off the download ends it. */
const TRACE_S = 60;

/** What is done to a row's connection: a trace to a file, closing it, banning who is behind it. */
export function actionsColumn(
  press: (id: string, name: string) => void,
  ban: (row: ConnectionRow) => void,
): Column<ConnectionRow> {
  return {
    key: "actions",
    classes: "list-actions",
    make(cell, id, row) {
      const name = nameOf(row);
      const traced = t("connections.trace", { name, seconds: String(TRACE_S) });
      const trace = element(
        "a",
        {
          href: `/api/v1/admin/connections/${encodeURIComponent(id)}/trace?seconds=${TRACE_S}`,
          download: `trace-${id}.ndjson`,
          class: "btn-icon",
          "aria-label": traced,
          title: traced,
          "data-testid": "trace",
        },
        icon("download"),
      );
      const said = t("connections.disconnect", { name });
      const button = element(
        "button",
        { type: "button", class: "btn-icon", "aria-label": said, title: said, "data-testid": "disconnect" },
        icon("x-lg"),
      );
      button.addEventListener("click", () => press(id, name));
      const banish = t("ban.one", { name });
      const away = element(
        "button",
        { type: "button", class: "btn-icon", "aria-label": banish, title: banish, "data-testid": "ban" },
        icon("slash-circle"),
      );
      away.addEventListener("click", () => ban(row));
      cell.append(trace, button, away);
    },
    draw(cell) {
      const gone = cell.parentElement?.dataset["standing"] === "gone";
      find<HTMLButtonElement>(cell, "button").disabled = gone;
      setHidden(find(cell, "a"), gone);
    },
  };
}

export const CLOSED_COLUMNS: readonly Column<ClosedRow>[] = [
  {
    key: "username",
    make(cell, id) {
      cell.append(linkTo(id), element("span", { class: "list-small" }, id));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), nameOf(row));
    },
  },
  words("ip", (row) => row.ip, { classes: "list-tight" }),
  words("node", (row) => row.node, { classes: "list-tight", title: (row) => row.instance }),
  words("close_code", (row) => `${row.close_code ?? NONE} ${row.reason}`.trim(), {
    title: (row) => closeWords(row.reason, row.meaning),
  }),
  figures("missed", (row) => count(row.missed)),
  figures(
    "held",
    (row) => span(row.held_s),
    (row) => t("connections.since", { time: exact(row.connected_at) }),
  ),
  figures(
    "closed_at",
    (row, { now }) => ago(Math.max(0, now - row.closed_at)),
    (row) => exact(row.closed_at),
  ),
  words("user_agent", (row) => programOf(row.user_agent) || NONE, {
    classes: "list-tight",
    title: (row) => row.user_agent,
  }),
];

/** Said in words too: colour alone says nothing. */
function warning(): HTMLElement {
  return element(
    "span",
    { class: "list-warn" },
    icon("exclamation-triangle-fill"),
    element("span", { class: "visually-hidden" }, `${t("connections.slow_one")} `),
  );
}
