/** The page of bans: a live list, banning, and lifting. How a live list behaves is list-page's. */
import { type Ban, lift, listBans } from "../socket/bans-api";
import type { ListShape } from "../state/list-query";
import { BanDialog, banned } from "./ban-dialog";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { ListPage } from "./list-page";
import { type Column, figures, words } from "./list-row";
import { problemWords } from "./problem-words";
import { ago, exact, span, t, word } from "./text";

export const SHAPE: ListShape = { fields: ["text", "state"], sort: "created_at", sorts: { created_at: true } };

const COLUMNS: readonly Column<Ban>[] = [
  {
    key: "target",
    make(cell) {
      cell.append(element("span", { class: "list-name" }), element("span", { class: "list-small" }));
    },
    draw(cell, row) {
      setText(find(cell, ".list-name"), targetOf(row));
      setText(find(cell, ".list-small"), t(row.network === "" ? "bans.kind.user" : "bans.kind.address"));
    },
  },
  words("state", (row, { now }) => word("bans.state", stateOf(row, now)), {
    title: (row) =>
      row.lifted_at === null ? "" : t("bans.lifted_by", { name: row.lifted_by, time: exact(row.lifted_at) }),
  }),
  figures(
    "left",
    (row, { now }) => leftOf(row, now),
    (row) => (row.expires_at === null ? "" : t("bans.until", { time: exact(row.expires_at) })),
  ),
  words("reason", (row) => row.reason, { classes: "list-reason", title: (row) => row.reason }),
  words("created_by", (row) => row.created_by, { classes: "list-tight" }),
  figures(
    "created_at",
    (row, { now }) => ago(Math.max(0, now - row.created_at)),
    (row) => exact(row.created_at),
  ),
];

export class BansPage {
  private readonly mayBan = part(document, "list").dataset["mayBan"] === "true";
  private readonly dialog = new BanDialog((answer) => {
    this.page.notice({ key: "banned", ...banned(answer) });
    this.page.refresh();
  });
  private readonly lifting = new LiftDialog(() => this.page.refresh());
  private readonly page = new ListPage<Ban>({
    shape: SHAPE,
    columns: [...COLUMNS, this.actions()],
    idOf: (row) => String(row.id),
    nameOf: targetOf,
    list: async (parameters, keep) => {
      const reply = await listBans(parameters, keep);
      if (!reply.ok) return reply;
      const { bans, ...rest } = reply.value;
      return { ok: true, value: { ...rest, rows: bans, complete: true, silent: [], cut_off: "" } };
    },
    maybeOn: () => false,
    items: () => (this.mayBan ? [{ kind: t("palette.kind.action"), name: t("ban.go"), run: () => this.begin() }] : []),
  });

  start(): void {
    if (this.mayBan) part(document, "ban-new").addEventListener("click", () => this.begin());
    this.page.start();
  }

  private begin(): void {
    this.dialog.open({ users: [], addresses: [] });
  }

  private actions(): Column<Ban> {
    return {
      key: "actions",
      classes: "list-actions",
      make: (cell, _, row) => {
        const label = t("bans.lift_one", { name: targetOf(row) });
        const attributes = {
          type: "button",
          class: "btn btn-sm btn-quiet",
          "data-testid": "lift",
          "aria-label": label,
        };
        const button = element("button", attributes, t("bans.lift"));
        button.addEventListener("click", () => this.lifting.open(row));
        cell.append(button);
      },
      draw(cell, row, { now }) {
        setHidden(find(cell, "button"), stateOf(row, now) !== "in_force");
      },
    };
  }
}

function targetOf(row: Ban): string {
  return row.network || row.username;
}

/** By the clock of this moment: a ban ends at its second, whenever the list was asked for. */
function stateOf(row: Ban, now: number): Ban["state"] {
  if (row.lifted_at !== null) return "lifted";
  return row.expires_at !== null && now >= row.expires_at ? "expired" : "in_force";
}

function leftOf(row: Ban, now: number): string {
  if (stateOf(row, now) !== "in_force") return "–";
  return row.expires_at === null ? t("bans.endless") : span(row.expires_at - now);
}

/** Asks once before a ban is lifted. */
class LiftDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#lift");
  private readonly done: () => void;
  private row: Ban | null = null;

  constructor(done: () => void) {
    this.done = done;
    part(this.dialog, "lift-cancel").addEventListener("click", () => this.dialog.close());
    part(this.dialog, "lift-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  open(row: Ban): void {
    this.row = row;
    setText(part(this.dialog, "lift-title"), t("bans.lift_one", { name: targetOf(row) }));
    setHidden(part(this.dialog, "lift-error"), true);
    this.dialog.showModal();
    part(this.dialog, "lift-go").focus();
  }

  private async send(): Promise<void> {
    if (this.row === null) return;
    const go = part<HTMLButtonElement>(this.dialog, "lift-go");
    setAttribute(go, "disabled", "");
    const reply = await lift(this.row.id);
    setAttribute(go, "disabled", null);
    if (reply.ok) {
      this.dialog.close();
      this.done();
      return;
    }
    const box = part(this.dialog, "lift-error");
    setText(box, problemWords(reply.problem, t("ban.no_answer")));
    setHidden(box, false);
  }
}
