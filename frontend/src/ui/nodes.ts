/**
 * The table of nodes: how each reaches the bus and the room log, since when, and what was last wrong. A row is kept while
 * its node's life lasts. It must not know the socket.
 */
import type { FeedStatus, NodeShown, Reach } from "../socket/wire";
import { toneOf, worthShowing, type Tone } from "../state/nodes";
import { element, icon, part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { ago, clock, count, milliseconds, NONE, t, word } from "./text";

const ICONS: Record<Tone | "idle", string> = {
  ok: "check-circle-fill",
  warn: "exclamation-triangle-fill",
  error: "x-circle-fill",
  idle: "question-circle",
};
const PARTS = ["bus", "room_log"] as const;
const CELLS = ["node", "connections", ...PARTS, "rtt", "last_error", "heard"] as const;
type Cell = (typeof CELLS)[number];

export class NodesView {
  private readonly rows = new Map<string, Map<Cell, HTMLElement>>();
  private readonly section = part(document, "nodes");
  private readonly body = part(document, "node-rows");

  /** `now` is the server's time, Unix seconds; `stale`: the page is cut off, and what it shows may be over. */
  draw(status: FeedStatus | null, now: number, stale: boolean): void {
    setHidden(this.section, status === null || !worthShowing(status));
    setAttribute(this.section, "data-stale", stale ? "true" : null);
    const nodes = status?.nodes ?? [];
    const wanted = new Set(nodes.map((node) => node.instance));
    for (const [instance, cells] of this.rows) {
      if (wanted.has(instance)) continue;
      cells.get("node")?.parentElement?.remove();
      this.rows.delete(instance);
    }
    const deaf = nodes.some((node) => node.this && node.reach["bus"]?.state === "down");
    const names = nodes.map((node) => node.node);
    for (const node of nodes) {
      const twin = names.indexOf(node.node) !== names.lastIndexOf(node.node);
      this.drawRow(node, now, deaf, twin);
    }
  }

  private drawRow(node: NodeShown, now: number, deaf: boolean, twin: boolean): void {
    const cells = this.rows.get(node.instance) ?? this.makeRow(node);
    // What a node said before it fell silent is no longer known.
    const unknown = node.overdue || (deaf && !node.this);
    const cell = (name: Cell): HTMLElement => cells.get(name) as HTMLElement;
    // An old and a new process of one name, as during a rolling restart: told apart by when they were started.
    const called = node.this ? t("nodes.this", { node: node.node }) : node.node;
    setText(cell("node"), twin ? t("nodes.twin", { node: called, time: clock(node.started_at) }) : called);
    setAttribute(cell("node"), "title", t("nodes.instance", { instance: node.instance, time: clock(node.started_at) }));
    setText(cell("connections"), unknown ? NONE : count(node.connections));
    for (const name of PARTS) drawBadge(cell(name), node.reach[name], unknown, now);
    const trips = Object.values(node.reach).map((reach) => reach.rtt_ms ?? -1);
    const rtt = Math.max(-1, ...trips);
    setText(cell("rtt"), unknown || rtt < 0 ? NONE : milliseconds(rtt));
    const last = newestError(node);
    setText(
      cell("last_error"),
      last === null ? t("nodes.no_error") : `${clock(last.last_error_at)} ${last.last_error}`,
    );
    setText(cell("heard"), node.this ? t("time.now") : ago(now - node.heard_at));
  }

  private makeRow(node: NodeShown): Map<Cell, HTMLElement> {
    const cells = new Map<Cell, HTMLElement>();
    for (const name of CELLS) {
      const attributes = { "data-cell": name, class: name === "connections" || name === "rtt" ? "num" : "" };
      const made = name === "node" ? element("th", { scope: "row", ...attributes }) : element("td", attributes);
      if (name === "bus" || name === "room_log") {
        const badge = element("span", { class: "state-badge" }, icon("dash-circle"), element("span"));
        made.append(badge, " ", element("span", { class: "reach-since" }));
      }
      cells.set(name, made);
    }
    this.body.append(element("tr", { "data-testid": "node-row", "data-node": node.node }, ...cells.values()));
    this.rows.set(node.instance, cells);
    return cells;
  }
}

function drawBadge(cell: HTMLElement, reach: Reach | undefined, unknown: boolean, now: number): void {
  const badge = cell.firstElementChild as HTMLElement;
  const since = cell.lastElementChild as HTMLElement;
  setHidden(badge, reach === undefined);
  if (reach === undefined) {
    setText(since, NONE);
    return;
  }
  const tone = unknown ? "idle" : toneOf(reach);
  setAttribute(badge, "data-tone", tone);
  setAttribute(badge, "data-state", unknown ? "unknown" : reach.state);
  setIcon(badge, ICONS[tone]);
  const state = unknown ? t("reach.unknown") : word("reach.state", reach.state);
  const circuit = unknown || reach.circuit === null ? "" : ` · ${word("circuit", reach.circuit)}`;
  setText(badge.lastElementChild as Element, `${state}${circuit}`);
  setText(since, unknown ? "" : t("nodes.since", { time: clock(reach.since), ago: ago(now - reach.since) }));
}

function newestError(node: NodeShown): Reach | null {
  const broken = Object.values(node.reach).filter((reach) => reach.last_error_at !== null);
  broken.sort((one, two) => (two.last_error_at ?? 0) - (one.last_error_at ?? 0));
  return broken[0] ?? null;
}
