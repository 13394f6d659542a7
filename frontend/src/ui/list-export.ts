/**
 * The buttons that take a list away as a file: all that the filters show, made by the server. What it refuses is said on
 * the page. It must not know which list it is.
 */
import { type Problem, takeFile } from "../socket/admin-api";
import { part, setAttribute } from "./dom";
import { problemWords } from "./problem-words";
import { saveFile } from "./save-file";
import { t } from "./text";

export interface ExportSpec {
  /** Which list: the name of its part of the page. */
  readonly name: string;
  readonly path: string;
  /** What is shown now. */
  parameters(): URLSearchParams;
  said(notice: { key: string; tone: "error"; title: string; text: string }): void;
  done(file: string): void;
}

/** Wires the buttons; a server that forbids files has none on the page. */
export function wireExport(spec: ExportSpec): void {
  const box = document.querySelector<HTMLElement>(`[data-part="export-${spec.name}"]`);
  if (box === null) return;
  const mask = box.querySelector<HTMLInputElement>('[data-part="mask"]');
  for (const button of box.querySelectorAll<HTMLButtonElement>("[data-form]"))
    button.addEventListener("click", () => void take(button));

  async function take(button: HTMLButtonElement): Promise<void> {
    if (button.getAttribute("aria-busy") === "true") return;
    const asked = spec.parameters();
    asked.set("format", button.dataset["form"] ?? "csv");
    if (mask?.checked === true) asked.set("mask_addresses", "true");
    setAttribute(button, "aria-busy", "true");
    const reply = await takeFile(`${spec.path}?${asked}`);
    setAttribute(button, "aria-busy", null);
    if (!reply.ok) return spec.said(refused(reply.problem));
    saveFile(reply.value.name, reply.value.content);
    spec.done(reply.value.name);
  }
}

/** What is said to who does not see that the browser has saved something. */
export function sayExported(file: string): void {
  part(document, "announce").textContent = t("analytics.exported", { file });
}

function refused(problem: Problem): { key: string; tone: "error"; title: string; text: string } {
  return { key: "export", tone: "error", title: t("list.export.failed"), text: problemWords(problem) };
}
