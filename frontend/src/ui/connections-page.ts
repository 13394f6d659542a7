/**
 * The page of connections: the living as a live list, the recently closed below, and closing one or many. How a live list
 * behaves is list-page's.
 */
import type { Problem } from "../socket/admin-api";
import {
  CONNECTIONS,
  type ClosedRow,
  type ConnectionRow,
  type DisconnectAnswer,
  disconnect,
  listClosed,
  listConnections,
} from "../socket/connections-api";
import type { ListShape } from "../state/list-query";
import { CLOSED_COLUMNS, CONNECTION_COLUMNS, actionsColumn, nameOf } from "./connection-columns";
import { BanDialog, banned, type Outlaws } from "./ban-dialog";
import { DisconnectDialog, type Doomed } from "./disconnect-dialog";
import { part, setAttribute, setHidden, setText } from "./dom";
import { ListPage } from "./list-page";
import { LiveList } from "./live-list";
import { NodeDrains } from "./node-drains";
import { count, t } from "./text";

export const SHAPE: ListShape = {
  fields: ["text", "user", "room", "ip", "node", "slow"],
  sort: "connected_at",
  sorts: {
    username: false,
    ip: false,
    user_agent: false,
    rooms: true,
    messages_in_per_second: true,
    messages_out_per_second: true,
    queued_bytes: true,
    missed: true,
    round_trip_ms: true,
    last_activity: true,
    connected_at: true,
  },
};
const CLOSED_ROWS = 50;

export class ConnectionsPage {
  private readonly mayClose = part(document, "list").dataset["mayClose"] === "true";
  private readonly dialog = new DisconnectDialog((doomed, reason) => this.close(doomed, reason));
  private readonly banning = new BanDialog((answer) => {
    this.page.list.letGo();
    this.page.notice({ key: "banned", ...banned(answer) });
    this.page.refresh();
  });
  private readonly closedBox = part<HTMLDetailsElement>(document, "closed");
  private readonly closed = new LiveList<ClosedRow>(this.closedBox, {
    columns: CLOSED_COLUMNS,
    idOf: (row) => row.connection_id,
    nameOf: (row) => row.username ?? row.connection_id,
  });
  private readonly nodes = new NodeDrains(() => this.page.refresh());
  private closedCount: number | null = null;
  private readonly page = new ListPage<ConnectionRow>({
    shape: SHAPE,
    columns: [
      ...CONNECTION_COLUMNS,
      actionsColumn(
        (id, name) => this.dialog.open([{ id, name }]),
        (row) => this.banning.open(outlawsOf([row])),
      ),
    ],
    idOf: (row) => row.connection_id,
    nameOf,
    list: async (parameters, keep) => {
      const reply = await listConnections(parameters, keep);
      return reply.ok ? { ok: true, value: { ...reply.value, rows: reply.value.connections } } : reply;
    },
    maybeOn: (row, instances) => instances.has(row.instance),
    chosenChanged: () => this.drawChosen(),
    more: async () => (await this.askClosed()) ?? (await this.nodes.ask()),
    draw: (now) => {
      this.drawClosed(now);
      this.nodes.draw();
    },
    items: () => [
      {
        kind: t("palette.kind.action"),
        name: t("connections.slow"),
        run: () => this.page.tools.set({ slow: this.page.tools.query.fields["slow"] === "true" ? "" : "true" }),
      },
    ],
  });

  start(): void {
    this.closedBox.addEventListener("toggle", () => this.page.refresh());
    part(document, "disconnect-chosen").addEventListener("click", () => this.dialog.open(this.chosen()));
    part(document, "ban-chosen").addEventListener("click", () => this.banning.open(this.outlaws()));
    part(document, "let-go").addEventListener("click", () => this.page.list.letGo());
    this.page.exportAs("connections", `${CONNECTIONS}/export`);
    this.page.exportAs("closed", `${CONNECTIONS}/closed/export`, () => this.closedQuery());
    this.page.start();
  }

  // ---- the recently closed ----

  private closedQuery(): URLSearchParams {
    return new URLSearchParams({ text: this.page.tools.query.fields["text"] ?? "" });
  }

  private async askClosed(): Promise<Problem | null> {
    if (!this.closedBox.open) return null;
    const reply = await listClosed(this.page.tools.query.fields["text"] ?? "", CLOSED_ROWS);
    if (!reply.ok) return reply.problem;
    this.closedCount = reply.value.matching;
    const rows = reply.value.closed;
    this.closed.answer({ rows, kept: [] }, this.page.now(), () => false);
    return null;
  }

  private drawClosed(now: number): void {
    this.closed.draw(now);
    setHidden(part(document, "closed-empty"), this.closedCount !== 0);
    const shown = t("list.matching", { shown: count(this.closed.length), count: count(this.closedCount) });
    setText(part(document, "closed-matching"), this.closedCount === null ? "" : shown);
  }

  // ---- closing ----

  private chosen(): Doomed[] {
    return this.page.list.selected.map((id) => {
      const row = this.page.list.row(id);
      return { id, name: row === undefined ? id : `${nameOf(row)} (${id})` };
    });
  }

  private outlaws(): Outlaws {
    const rows = this.page.list.selected.map((id) => this.page.list.row(id));
    return outlawsOf(rows.filter((row) => row !== undefined));
  }

  private drawChosen(): void {
    const chosen = this.page.list.selected.length;
    setHidden(part(document, "chosen"), !this.mayClose || chosen === 0);
    setText(part(document, "chosen-count"), t("list.chosen", { count: count(chosen) }));
    setAttribute(part(document, "list"), "data-chosen", chosen === 0 ? null : String(chosen));
  }

  private async close(doomed: readonly Doomed[], reason: string): Promise<Problem | null> {
    const ids = doomed.map((one) => one.id);
    const reply = await disconnect(ids, doomed.length, reason);
    if (!reply.ok) return reply.problem;
    this.page.list.letGo();
    this.page.notice({ key: "disconnected", tone: reply.value.complete ? "info" : "warn", ...outcome(reply.value) });
    this.page.refresh();
    return null;
  }
}

/** Users by name; who has not said who they are, by address. */
function outlawsOf(rows: readonly ConnectionRow[]): Outlaws {
  return {
    users: rows.flatMap((row) => (row.username === null ? [] : [row.username])),
    addresses: rows.flatMap((row) => (row.username === null ? [row.ip] : [])),
  };
}

/** What became of them: closed, ended already, or not known because somebody did not answer. */
function outcome(answer: DisconnectAnswer): { title: string; text: string } {
  const title = t("disconnect.done", { count: count(answer.closed.length) });
  if (answer.missing.length === 0) return { title, text: "" };
  const missing = count(answer.missing.length);
  if (answer.complete) return { title, text: t("disconnect.missing", { count: missing }) };
  const nodes = answer.silent.map((node) => node.node).join(", ") || answer.cut_off;
  return { title, text: t("disconnect.unknown", { count: missing, nodes }) };
}
