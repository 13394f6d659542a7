/**
 * The line above a dashboard: which one, of which node, and what can be done with it. It reports what is pressed; it must
 * not know the server or the widgets.
 */
import type { Board, BoardHead, BoardsAnswer } from "../socket/dashboards-api";
import { element, find, part, setHidden, setText } from "./dom";
import { t } from "./text";

export interface BoardActions {
  choose(id: string): void;
  arrange(): void;
  add(): void;
  save(): void;
  cancel(): void;
  make(name: string): void;
  rename(name: string, shared: boolean): void;
  remove(): void;
  first(everybody: boolean): void;
  node(node: string): void;
}

export interface BoardLook {
  readonly boards: BoardsAnswer;
  readonly board: Board | null;
  readonly arranging: boolean;
  readonly dirty: boolean;
  readonly node: string;
  /** Nodes that answered. */
  readonly nodes: readonly string[];
}

export class BoardControls {
  private readonly select = part<HTMLSelectElement>(document, "board");
  private readonly nodes = part<HTMLSelectElement>(document, "node");
  private readonly dialog = find<HTMLDialogElement>(document, "#board-dialog");
  private readonly name = find<HTMLInputElement>(this.dialog, "#board-name");
  private readonly shared = find<HTMLInputElement>(this.dialog, "#board-shared");
  private readonly removal = find<HTMLDialogElement>(document, "#board-removal");
  private making = false;
  private known = "";
  private named = "";

  constructor(actions: BoardActions) {
    const wire = (name: string, run: () => void): void => part(document, name).addEventListener("click", run);
    this.select.addEventListener("change", () => actions.choose(this.select.value));
    this.nodes.addEventListener("change", () => actions.node(this.nodes.value));
    wire("arrange-start", () => actions.arrange());
    wire("add", () => actions.add());
    wire("save", () => actions.save());
    wire("cancel", () => actions.cancel());
    wire("copy", () => this.ask(true));
    wire("rename", () => this.ask(false));
    wire("delete", () => this.removal.showModal());
    wire("first-mine", () => actions.first(false));
    wire("board-cancel", () => this.dialog.close());
    wire("removal-cancel", () => this.removal.close());
    document.querySelector('[data-part="first-everybody"]')?.addEventListener("click", () => actions.first(true));
    part(document, "board-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.dialog.close();
      const name = this.name.value.trim();
      if (this.making) actions.make(name);
      else actions.rename(name, this.shared.checked);
    });
    part(document, "removal-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.removal.close();
      actions.remove();
    });
  }

  draw(look: BoardLook): void {
    const { board, arranging } = look;
    this.fill(look);
    const mine = board?.mine === true;
    for (const name of ["arrange-start", "copy", "rename", "delete", "first-mine", "first-everybody"]) {
      const button = document.querySelector<HTMLButtonElement>(`[data-part="${name}"]`);
      if (button === null) continue;
      setHidden(button, arranging || board === null || (["arrange-start", "rename", "delete"].includes(name) && !mine));
    }
    for (const name of ["add", "save", "cancel"]) setHidden(part(document, name), !arranging);
    part<HTMLButtonElement>(document, "save").disabled = !look.dirty;
    this.select.disabled = arranging;
    setText(part(document, "board-state"), state(look));
    setText(part(document, "removal-name"), board === null ? "" : titleOf(board));
  }

  private fill(look: BoardLook): void {
    const known = JSON.stringify([look.boards, look.board?.id, look.board?.name, look.nodes, look.node]);
    if (known === this.known) return;
    this.known = known;
    const heads = look.boards.dashboards;
    this.select.replaceChildren(
      ...heads.map((head) => element("option", { value: head.id }, called(head, look.boards))),
    );
    this.select.value = look.board?.id ?? "";
    const names = [...new Set([...look.nodes, ...(look.node === "" ? [] : [look.node])])].sort();
    this.nodes.replaceChildren(
      element("option", { value: "" }, t("dash.all_nodes")),
      ...names.map((name) => element("option", { value: name }, name)),
    );
    this.nodes.value = look.node;
    if (look.board !== null) {
      this.named = titleOf(look.board);
      this.shared.checked = look.board.shared;
    }
  }

  private ask(making: boolean): void {
    this.making = making;
    setHidden(part(this.dialog, "shared-field"), making);
    setText(find(this.dialog, "#board-title"), t(making ? "dash.copy" : "dash.rename"));
    this.name.value = making ? t("dash.copy_of", { name: this.named }) : this.named;
    this.dialog.showModal();
    this.name.select();
  }
}

/** The built-in one is called in the reader's language. */
export function titleOf(head: BoardHead): string {
  return head.built_in ? t("dash.overview") : head.name;
}

function called(head: BoardHead, boards: BoardsAnswer): string {
  const marks = [
    ...(head.mine || head.built_in ? [] : [t("dash.of", { owner: head.owner })]),
    ...(head.mine && head.shared ? [t("dash.shared")] : []),
    ...(head.id === boards.first ? [t("dash.is_first")] : []),
    ...(head.id === boards.first_of_all ? [t("dash.is_first_of_all")] : []),
  ];
  return marks.length === 0 ? titleOf(head) : `${titleOf(head)} (${marks.join(", ")})`;
}

function state(look: BoardLook): string {
  if (look.arranging) return look.dirty ? t("dash.unsaved") : t("dash.arranging");
  if (look.board === null || look.board.mine) return "";
  return look.board.built_in ? t("dash.built_in") : t("dash.read_only", { owner: look.board.owner });
}
