/**
 * The form of a rule: what may be chosen comes from the server, and what is wrong it says at the field it is about. It
 * must not know the list of rules.
 */
import type { Problem } from "../socket/admin-api";
import { listMetrics, putRule, type RuleRow } from "../socket/alerts-api";
import { type Document, documentOf, type Draft, draftOf, isMissing, NEW, placeIn } from "../state/rule-form";
import { sentencesOf } from "./act-dialog";
import { element, find, part, setAttribute, setHidden, setText } from "./dom";
import { reasonWords } from "./error-words";
import { count, t } from "./text";

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/** Every sample has this label beside its own. */
const NODE = "node";

export class RuleDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#rule");
  private readonly form = part<HTMLFormElement>(this.dialog, "rule-form");
  private readonly labels = part(this.dialog, "rule-by");
  private readonly go = part<HTMLButtonElement>(this.dialog, "rule-go");
  private readonly failed = part(this.dialog, "rule-error");
  private readonly saved: () => void;
  private version = 0;
  /** Metric -> its labels. */
  private metrics: Readonly<Record<string, readonly string[]>> = {};

  constructor(saved: () => void) {
    this.saved = saved;
    part(this.dialog, "rule-cancel").addEventListener("click", () => this.dialog.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.form.addEventListener("change", () => this.adapt(this.chosenLabels()));
  }

  /** Opens with a rule to change, or with none to make one. */
  open(row: RuleRow | null): void {
    this.version = row?.version ?? 0;
    const key = this.control("key") as HTMLInputElement;
    key.value = row?.key ?? "";
    key.readOnly = row !== null;
    setText(find(this.dialog, "#rule-title"), row === null ? t("rules.new") : t("rules.edit", { name: row.key }));
    const draft = row?.rule == null ? NEW : draftOf(row.rule);
    this.fill(draft);
    this.say(null);
    this.dialog.showModal();
    (row === null ? key : this.control("name"))?.focus();
    void this.learn();
  }

  /** What there is to be chosen. */
  private async learn(): Promise<void> {
    const reply = await listMetrics();
    if (!reply.ok) {
      this.say(reply.problem);
      return;
    }
    this.metrics = reply.value.metrics;
    const names = Object.keys(this.metrics).sort();
    part(this.dialog, "rule-metrics").replaceChildren(...names.map((name) => new Option(name, name)));
    this.adapt(this.chosenLabels());
  }

  // ---- the fields

  private control(name: string): Control | null {
    return this.form.querySelector<Control>(`[name="${name}"]`);
  }

  private controls(): Control[] {
    return [...this.form.querySelectorAll<Control>("[name]:not([name=by]):not([name=key])")];
  }

  private fill(draft: Draft): void {
    for (const control of this.controls()) {
      const text = draft.texts[control.name] ?? "";
      if (control instanceof HTMLInputElement && control.type === "checkbox") control.checked = text === "true";
      else control.value = text;
    }
    this.adapt(draft.by);
  }

  private read(): Document {
    const texts: Record<string, string> = {};
    for (const control of this.controls()) {
      const ticked = control instanceof HTMLInputElement && control.type === "checkbox";
      texts[control.name] = ticked ? String(control.checked) : control.value;
    }
    return documentOf({ texts, by: this.chosenLabels() });
  }

  private chosenLabels(): string[] {
    return [...this.labels.querySelectorAll<HTMLInputElement>("input:checked")].map((box) => box.value);
  }

  /** Shows what belongs to what is chosen: the labels of the metric, the time of a rate, the figure that divides. */
  private adapt(chosen: readonly string[]): void {
    const known = this.metrics[this.control("figure.metric")?.value.trim() ?? ""] ?? [];
    const names = [...new Set([NODE, ...known, ...chosen])];
    if (names.join() !== this.labels.dataset["names"]) {
      this.labels.dataset["names"] = names.join();
      this.labels.replaceChildren(...names.map((name) => labelBox(name)));
    }
    for (const box of this.labels.querySelectorAll<HTMLInputElement>("input")) box.checked = chosen.includes(box.value);
    const divided = this.control("divided") as HTMLInputElement;
    setHidden(part(this.dialog, "rule-over"), !divided.checked);
    for (const figure of ["figure", "over"])
      setHidden(part(this.dialog, `${figure}-window`), this.control(`${figure}.read`)?.value !== "rate");
  }

  // ---- sending

  private async send(): Promise<void> {
    this.go.disabled = true;
    const key = this.control("key")?.value.trim() || "_";
    const reply = await putRule(key, this.version, JSON.stringify(this.read()));
    this.go.disabled = false;
    this.say(reply.ok ? null : reply.problem);
    if (!reply.ok) return;
    this.dialog.close();
    this.saved();
  }

  /** Says what is wrong: at its field, and what belongs to none below; the first such field has the focus. */
  private say(problem: Problem | null): void {
    const said = new Map<string, string>();
    for (const one of problem?.errors ?? []) said.set(one.field, reasonWords({ text: one.message, why: one.reason }));
    const place = problem === null ? null : placeIn(problem.message);
    if (problem !== null && place !== null && this.slot(place) !== null)
      said.set(place, isMissing(problem.message) ? t("rules.number") : problem.message);
    let first: HTMLElement | null = null;
    for (const slot of this.form.querySelectorAll<HTMLElement>("[data-said]")) {
      const name = slot.dataset["said"] ?? "";
      const words = said.get(name);
      setHidden(slot, words === undefined);
      setText(slot, words ?? "");
      const control = name === "by" ? this.labels.querySelector<HTMLElement>("input") : this.control(name);
      if (control === null) continue;
      setAttribute(control, "aria-invalid", words === undefined ? null : "true");
      setAttribute(control, "aria-describedby", words === undefined ? null : slot.id);
      if (words !== undefined) first ??= control;
    }
    setHidden(this.failed, problem === null);
    const left = [...said].filter(([name]) => this.slot(name) === null).map(([name, words]) => `${name}: ${words}`);
    if (problem !== null)
      setText(this.failed, first === null ? sentencesOf(problem) : t("rules.wrong", { count: count(said.size) }));
    if (problem !== null && left.length > 0) setText(this.failed, [sentencesOf(problem), ...left].join(" "));
    first?.focus();
  }

  private slot(name: string): HTMLElement | null {
    return this.form.querySelector<HTMLElement>(`[data-said="${name}"]`);
  }
}

function labelBox(name: string): HTMLElement {
  const box = element("input", {
    type: "checkbox",
    class: "form-check-input",
    name: "by",
    value: name,
    "data-testid": `rule-by-${name}`,
  });
  return element("label", { class: "list-check" }, box, " ", name);
}
