/**
 * One field of the form as it is drawn: its input, who is in it, what has become of one's own edit, and a conflict to be
 * decided. It must not know the socket; what is entered goes to the actions it is given.
 */
import type { Json } from "../client/index";
import type { FieldSpec } from "../socket/quotes-api";
import type { Draft, Edit } from "../state/quote-edits";
import type { Editor, FieldState } from "../state/quote-wire";
import { element, icon, setAttribute, setHidden, setText } from "./dom";
import {
  type Control,
  fieldLabel,
  makeControl,
  readControl,
  setReadOnly,
  valueWords,
  writeControl,
} from "./quote-control";
import { ago, clock, exact, t } from "./text";

export interface FieldActions {
  begin(field: string): void;
  abandon(field: string): void;
  commit(field: string, value: Json): void;
  takeTheirs(field: string): void;
  putMine(field: string): void;
  /** The focus came to a field, went (null), or somebody types. */
  focus(field: string | null, typing: boolean): void;
}

export interface FieldLook {
  readonly state: FieldState;
  readonly shown: Json;
  readonly edit: Edit | undefined;
  readonly draft: Draft | undefined;
  readonly editors: readonly Editor[];
  readonly readOnly: boolean;
  readonly missing: boolean;
  readonly live: boolean;
  readonly username: string;
  /** Server time, Unix seconds. */
  readonly now: number;
}

/** Text is stored when somebody pauses; so long that a word is not cut in two. */
const PAUSE_MS = 700;
/** A date is typed in three parts, each of which is a date. */
const DATE_PAUSE_MS = 1_500;
/** How long a note says who has changed the field. */
const TOLD_S = 60;

export class FieldView {
  readonly root: HTMLElement;
  readonly control: Control;
  private readonly spec: FieldSpec;
  private readonly actions: FieldActions;
  private readonly people = element("span", { class: "q-people", "data-testid": "field-people" });
  private readonly note: HTMLElement;
  private readonly conflict = element("div", {
    class: "q-conflict",
    role: "group",
    "data-testid": "conflict",
    hidden: true,
  });
  private readonly theirs = element("p", { "data-testid": "conflict-theirs" });
  private readonly mine = element("p", { "data-testid": "conflict-mine" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private revision: number | null = null;
  private half = false;

  constructor(spec: FieldSpec, actions: FieldActions, specs: ReadonlyMap<string, FieldSpec>) {
    this.spec = spec;
    this.actions = actions;
    const id = `q-${spec.name}`;
    this.control = makeControl(spec, id);
    this.note = element("p", { class: "q-note", id: `${id}-note`, "data-testid": "note" });
    const label = element("label", { for: id }, fieldLabel(spec.name, specs));
    if (spec.required) label.append(" ", element("span", { class: "q-required", "aria-hidden": "true" }, "*"));
    this.root = element(
      "div",
      { class: "q-field", "data-field": spec.name, "data-kind": spec.kind, "data-testid": "field" },
      element("div", { class: "q-label" }, label, this.people),
      this.control,
      this.note,
      this.conflict,
    );
    this.makeConflict(fieldLabel(spec.name, specs));
    this.wire();
  }

  draw(look: FieldLook): void {
    const focused = document.activeElement === this.control;
    if (look.draft === undefined && !(focused && this.timer !== undefined)) this.write(look);
    this.flash(look);
    setReadOnly(this.control, look.readOnly);
    const phase = this.half ? "refused" : look.edit?.phase;
    setAttribute(this.root, "data-phase", phase ?? (look.draft === undefined ? null : "typing"));
    setAttribute(this.control, "aria-invalid", phase === "refused" || phase === "conflict" ? "true" : null);
    setAttribute(this.root, "data-missing", look.missing ? "true" : null);
    this.drawNote(look);
    this.drawPeople(look.editors);
    this.drawConflict(look);
  }

  private write(look: FieldLook): void {
    if (!this.half) writeControl(this.control, this.spec, look.shown);
  }

  /** A change of somebody else is seen for a moment; one's own is no news. */
  private flash(look: FieldLook): void {
    const { revision, by } = look.state;
    const before = this.revision;
    this.revision = revision;
    if (before === null || revision <= before || by === look.username) return;
    // Two names of the same animation, so that a second change in a row starts it again.
    setAttribute(this.root, "data-flash", this.root.dataset["flash"] === "a" ? "b" : "a");
  }

  private drawNote(look: FieldLook): void {
    const [tone, words, title] = this.noteOf(look);
    setText(this.note, words);
    setAttribute(this.note, "data-tone", tone);
    setAttribute(this.note, "title", title);
  }

  private noteOf(look: FieldLook): [string | null, string, string | null] {
    const { edit, draft, state } = look;
    if (this.half) return ["error", t("quote.note.half_date"), null];
    if (edit?.phase === "refused") return ["error", edit.reason, null];
    if (edit?.phase === "conflict") return ["error", t("quote.note.conflict"), null];
    const by = state.by ?? "";
    if (draft !== undefined && draft.base !== state.revision && by !== look.username) {
      return ["warn", t("quote.note.meanwhile", { by, value: valueWords(state.value, this.spec) }), null];
    }
    if (edit?.phase === "queued" || edit?.phase === "doubt") {
      return ["warn", look.live ? t("quote.note.again") : t("quote.note.queued"), null];
    }
    if (edit?.phase === "sent") return [null, t("quote.note.sending"), null];
    const age = look.now - (state.at ?? 0);
    if (state.revision > 0 && age < TOLD_S && by !== "") {
      const who = by === look.username ? t("quote.note.you") : by;
      return [null, t("quote.note.changed", { by: who, ago: ago(Math.max(0, age)) }), exact(state.at)];
    }
    return look.missing ? ["idle", t("quote.note.missing"), null] : [null, "", null];
  }

  private drawPeople(editors: readonly Editor[]): void {
    const words = editors.map((one) =>
      t(one.typing ? "quote.people.types" : "quote.people.here", { name: one.username }),
    );
    setText(this.people, [...new Set(words)].join(", "));
    setAttribute(
      this.root,
      "data-others",
      editors.length > 0 ? (editors.some((one) => one.typing) ? "typing" : "here") : null,
    );
  }

  private makeConflict(label: string): void {
    this.conflict.setAttribute("aria-label", t("quote.conflict.title", { field: label }));
    const take = element("button", { type: "button", class: "btn btn-sm btn-quiet", "data-testid": "take-theirs" });
    take.append(icon("arrow-counterclockwise"), t("quote.conflict.take"));
    const put = element("button", { type: "button", class: "btn btn-sm btn-primary", "data-testid": "put-mine" });
    put.append(icon("check-circle-fill"), t("quote.conflict.put"));
    take.addEventListener("click", () => this.decide(() => this.actions.takeTheirs(this.spec.name)));
    put.addEventListener("click", () => this.decide(() => this.actions.putMine(this.spec.name)));
    this.conflict.append(this.theirs, this.mine, element("div", { class: "q-choices" }, take, put));
  }

  private decide(how: () => void): void {
    how();
    // The pressed button goes with the conflict; the keyboard goes on in the field.
    this.control.focus();
  }

  private drawConflict(look: FieldLook): void {
    const { edit } = look;
    const open = edit?.phase === "conflict" && edit.theirs !== null;
    setHidden(this.conflict, !open);
    if (!open || edit.theirs === null) return;
    const { by, at, value } = edit.theirs;
    const words = valueWords(value, this.spec);
    setText(this.theirs, t("quote.conflict.theirs", { by: by ?? t("quote.somebody"), time: clock(at), value: words }));
    setAttribute(this.theirs, "title", exact(at));
    setText(this.mine, t("quote.conflict.mine", { value: valueWords(edit.value, this.spec) }));
  }

  // ---- what the person does

  /** The page goes: what stands in the field is what the person has entered. */
  flush(): void {
    this.store(true);
  }

  private wire(): void {
    const { control, spec } = this;
    const name = spec.name;
    control.addEventListener("focus", () => this.actions.focus(name, false));
    control.addEventListener("blur", () => {
      this.store();
      this.actions.focus(null, false);
    });
    control.addEventListener("input", () => this.onInput());
    control.addEventListener("change", () => {
      if (spec.kind === "choice" || spec.kind === "boolean") this.store();
    });
    (control as HTMLElement).addEventListener("keydown", (event: KeyboardEvent) => this.onKey(event));
  }

  private onInput(): void {
    const { kind, name } = this.spec;
    this.half = false;
    this.actions.begin(name);
    this.actions.focus(name, true);
    clearTimeout(this.timer);
    this.timer = undefined;
    if (kind === "choice" || kind === "boolean") return;
    // Half an address or number is wrong: those wait until the person leaves the field.
    const pause = kind === "text" || kind === "long_text" ? PAUSE_MS : kind === "date" ? DATE_PAUSE_MS : null;
    if (pause !== null) this.timer = setTimeout(() => this.store(true), pause);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && this.spec.kind !== "long_text") {
      event.preventDefault();
      this.store();
    } else if (event.key === "Escape") {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.half = false;
      this.actions.abandon(this.spec.name);
    }
  }

  /** `paused`: the person is still in the field, so that half a value is no mistake yet. */
  private store(paused = false): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const value = readControl(this.control, this.spec);
    if (value === undefined) {
      this.half = !paused;
      return;
    }
    this.half = false;
    if (paused && value === null) return;
    this.actions.commit(this.spec.name, value);
  }
}
