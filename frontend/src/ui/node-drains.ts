/**
 * The nodes and what is done to them: draining one, with its name typed, and taking it back. It must not know the page
 * around it.
 */
import type { Problem } from "../socket/admin-api";
import { accept, drain, type NodeState, nodeStates } from "../socket/nodes-api";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { clock, count, t } from "./text";

export class NodeDrains {
  readonly box = part<HTMLDetailsElement>(document, "nodes");
  private readonly body = part(this.box, "node-rows");
  private readonly may = this.box.dataset["may"] === "true";
  private readonly dialog = this.may ? new DrainDialog(() => this.changed()) : null;
  private readonly changed: () => void;
  private nodes: readonly NodeState[] = [];

  /** `changed` asks anew. */
  constructor(changed: () => void) {
    this.changed = changed;
    this.box.addEventListener("toggle", () => changed());
  }

  /** Asks, if somebody looks. */
  async ask(): Promise<Problem | null> {
    if (!this.box.open) return null;
    const reply = await nodeStates();
    if (!reply.ok) return reply.problem;
    this.nodes = reply.value.nodes;
    return null;
  }

  draw(): void {
    const rows = new Map([...this.body.children].map((row) => [(row as HTMLElement).dataset["id"] ?? "", row]));
    const names = new Set(this.nodes.map((node) => node.instance));
    for (const [id, row] of rows) if (!names.has(id)) row.remove();
    for (const [i, node] of this.nodes.entries()) {
      const row = (rows.get(node.instance) ?? this.make(node)) as HTMLElement;
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
      setText(find(row, '[data-cell="connections"]'), count(node.connections));
      setText(find(row, '[data-cell="state"]'), wordsOf(node));
      setAttribute(find(row, '[data-cell="state"]'), "data-tone", node.accepting ? null : "warn");
      if (!this.may) continue;
      setHidden(part(row, "node-drain"), !node.accepting);
      setHidden(part(row, "node-accept"), node.accepting || node.drained_by === "");
      part<HTMLButtonElement>(row, "node-accept").disabled = node.moving;
    }
  }

  private make(node: NodeState): HTMLElement {
    const attributes = { type: "button", class: "btn btn-sm btn-quiet" };
    const away = element(
      "button",
      { ...attributes, "data-part": "node-drain", "data-testid": "node-drain" },
      `${t("nodes.drain")} …`,
    );
    const back = element(
      "button",
      { ...attributes, "data-part": "node-accept", "data-testid": "node-accept" },
      t("nodes.accept"),
    );
    away.addEventListener("click", () => this.dialog?.open(node));
    back.addEventListener("click", () => void this.takeBack(node));
    return element(
      "tr",
      { "data-id": node.instance, "data-testid": "node-row" },
      element("th", { scope: "row", title: node.instance }, node.node),
      element("td", { class: "num", "data-cell": "connections", "data-label": t("connections.title") }),
      element("td", { "data-cell": "state", "data-label": t("bans.state") }),
      element("td", { class: "list-actions" }, ...(this.may ? [away, back] : [])),
    );
  }

  private async takeBack(node: NodeState): Promise<void> {
    const reply = await accept(node.instance);
    const box = part(this.box, "node-error");
    setText(box, reply.ok ? "" : problemWords(reply.problem, t("ban.no_answer")));
    setHidden(box, reply.ok);
    this.changed();
  }
}

function wordsOf(node: NodeState): string {
  if (node.accepting) return t("nodes.accepting");
  if (node.drained_by === "") return t("nodes.ending");
  const words = { by: node.drained_by, time: clock(node.drained_at) };
  return t(node.moving ? "nodes.moving" : "nodes.drained", words);
}

class DrainDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#drain");
  private readonly reason = find<HTMLInputElement>(this.dialog, "#drain-reason");
  private readonly typed = find<HTMLInputElement>(this.dialog, "#drain-name");
  private readonly last = find<HTMLInputElement>(this.dialog, "#drain-last");
  private readonly go = part<HTMLButtonElement>(this.dialog, "drain-go");
  private readonly done: () => void;
  private node: NodeState | null = null;

  constructor(done: () => void) {
    this.done = done;
    for (const field of [this.reason, this.typed]) field.addEventListener("input", () => this.check());
    part(this.dialog, "drain-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "drain-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.go.disabled) void this.send();
    });
  }

  open(node: NodeState): void {
    this.node = node;
    this.reason.value = this.typed.value = "";
    this.last.checked = false;
    setHidden(part(this.dialog, "drain-last-field"), true);
    setHidden(part(this.dialog, "drain-error"), true);
    setText(find(this.dialog, "#drain-title"), t("nodes.drain_one", { node: node.node }));
    setText(part(this.dialog, "drain-name-label"), t("nodes.type", { node: node.node }));
    this.check();
    this.dialog.showModal();
    this.reason.focus();
  }

  private check(): void {
    this.go.disabled = this.reason.value.trim() === "" || this.typed.value.trim() !== this.node?.node;
  }

  private async send(): Promise<void> {
    if (this.node === null) return;
    this.go.disabled = true;
    const { instance } = this.node;
    const reply = await drain(instance, this.typed.value.trim(), this.reason.value.trim(), this.last.checked);
    this.check();
    if (reply.ok) {
      this.dialog.close();
      this.done();
      return;
    }
    if (reply.problem.code === "last_node") setHidden(part(this.dialog, "drain-last-field"), false);
    const box = part(this.dialog, "drain-error");
    setText(box, problemWords(reply.problem, t("ban.no_answer")));
    setHidden(box, false);
  }
}
