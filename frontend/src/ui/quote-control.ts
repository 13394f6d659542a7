/**
 * One field's input: made by the field's kind, read as a value, written from one. It must not know edits or the server's
 * rules: what somebody enters is sent as it is, and the server says what is wrong with it.
 */
import type { Json } from "../client/index";
import type { FieldSpec } from "../socket/quotes-api";
import { element } from "./dom";
import { NONE, t, word } from "./text";

export type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

export function makeControl(spec: FieldSpec, id: string): Control {
  const control = made(spec);
  control.id = id;
  control.name = spec.name;
  control.dataset["testid"] = "control";
  if (spec.required) control.setAttribute("aria-required", "true");
  control.setAttribute("aria-describedby", `${id}-note`);
  return control;
}

function made(spec: FieldSpec): Control {
  const plain = { class: "form-control", autocomplete: "off" };
  switch (spec.kind) {
    case "long_text":
      return element("textarea", { ...plain, rows: "3", maxlength: String(spec.high) });
    case "choice":
      return select(spec);
    case "boolean":
      return element("input", { type: "checkbox", class: "form-check-input" });
    case "date":
      return element("input", { ...plain, type: "date" });
    case "integer":
      return element("input", { ...plain, inputmode: "numeric", maxlength: "12" });
    case "money":
      return element("input", { ...plain, inputmode: "decimal", maxlength: "20" });
    case "email":
      return element("input", { ...plain, inputmode: "email", spellcheck: "false", maxlength: String(spec.high) });
    case "text":
      return element("input", { ...plain, maxlength: String(spec.high) });
  }
}

function select(spec: FieldSpec): HTMLSelectElement {
  const none = spec.group === "coverages" ? t("quote.not_covered") : NONE;
  const options = spec.allowed.map((value) => element("option", { value }, word("quote.value", value)));
  const first = spec.required ? [] : [element("option", { value: "" }, none)];
  return element("select", { class: "form-select" }, ...first, ...options);
}

/** What is in the input, as it is sent; null if it is empty, undefined if it is half a date. */
export function readControl(control: Control, spec: FieldSpec): Json | undefined {
  if (spec.kind === "boolean") return (control as HTMLInputElement).checked;
  const text = control.value.normalize("NFC").trim();
  if (text === "") return control.validity.badInput ? undefined : null;
  return spec.kind === "integer" && /^-?\d{1,9}$/.test(text) ? Number(text) : text;
}

/** Writes a value, unless the input says the same already: the caret stays where it is. */
export function writeControl(control: Control, spec: FieldSpec, value: Json): void {
  if (readControl(control, spec) === value) return;
  if (spec.kind === "boolean") (control as HTMLInputElement).checked = value === true;
  else control.value = value === null ? "" : String(value);
}

export function setReadOnly(control: Control, readOnly: boolean): void {
  // A select and a checkbox know no readonly; disabled ones cannot be reached with the keyboard, but are still read.
  if (control instanceof HTMLSelectElement || control.type === "checkbox") control.disabled = readOnly;
  else if (control.readOnly !== readOnly) control.readOnly = readOnly;
}

/** A value in words, for notes and the history. */
export function valueWords(value: Json, spec: FieldSpec | undefined): string {
  if (value === null || value === "") return t("quote.empty_value");
  if (typeof value === "boolean") return value ? t("quote.yes") : t("quote.no");
  if (typeof value === "object") return JSON.stringify(value);
  return spec?.kind === "choice" ? word("quote.value", String(value)) : String(value);
}

export function fieldLabel(name: string, specs: ReadonlyMap<string, FieldSpec>): string {
  const own = word("quote.field", name);
  return own === name ? (specs.get(name)?.label ?? name) : own;
}
