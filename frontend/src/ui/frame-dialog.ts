/**
 * The dialog on one frame of a trace: raw, decoded, which messages of the contract it holds and whether they fit, timings,
 * copy as JSON. It must not know the trace.
 */
import { readFrame } from "../socket/trace-stream";
import type { Frame } from "../state/trace-log";
import { wireCopy } from "./copy";
import { element, find, part, setHidden, setText } from "./dom";
import { problemWords } from "./problem-words";
import { bytes, clockMs, exact, milliseconds, t, word } from "./text";

/** When something happened, and what it is called. */
interface Step {
  readonly name: string;
  readonly at: number | null;
}

export class FrameDialog {
  private readonly dialog = find<HTMLDialogElement>(document, "#frame");
  private shown: Frame | null = null;
  private asked = 0;

  constructor() {
    wireCopy(part<HTMLButtonElement>(this.dialog, "frame-copy"), '[data-part="frame-copy-word"]', () =>
      JSON.stringify(this.shown?.line ?? null, null, 2),
    );
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  /** `before`: the frame that came before it in the whole trace. */
  async open(frame: Frame, before: Frame | null): Promise<void> {
    this.asked += 1;
    const mine = this.asked;
    this.shown = frame;
    const { line } = frame;
    const marks = [line.cut ? t("trace.cut") : "", line.redacted ? t("trace.redacted") : ""];
    const facts = [word("trace.direction", line.direction), bytes(line.bytes), line.connection_id, ...marks];
    setText(part(this.dialog, "frame-line"), facts.filter((one) => one !== "").join(" · "));
    setText(part(this.dialog, "frame-raw"), line.text);
    setText(part(this.dialog, "frame-decoded"), "");
    part(this.dialog, "frame-verdicts").replaceChildren(element("li", {}, t("trace.reading")));
    setHidden(part(this.dialog, "frame-error"), true);
    part(this.dialog, "frame-timings").replaceChildren(...timings(frame, before));
    if (!this.dialog.open) this.dialog.showModal();
    const reply = await readFrame(line);
    // Another frame was opened meanwhile; its answer counts.
    if (mine !== this.asked) return;
    if (!reply.ok) {
      part(this.dialog, "frame-verdicts").replaceChildren();
      const box = part(this.dialog, "frame-error");
      setText(box, problemWords(reply.problem));
      setHidden(box, false);
      return;
    }
    const { messages, sequence, batch } = reply.value;
    part(this.dialog, "frame-verdicts").replaceChildren(
      ...messages.map((message, i) => {
        const tone =
          message.fit === "fits" || message.fit === "control" ? "ok" : message.fit === "altered" ? "warn" : "error";
        const name = [sequence === null ? "" : `#${sequence + i}`, message.struct || message.type].join(" ").trim();
        const verdict = `${word("trace.fit", message.fit)}${message.problem === "" ? "" : `: ${message.problem}`}`;
        return element("li", { "data-tone": tone }, element("strong", {}, name), " ", verdict);
      }),
    );
    const heads = batch ? messages.map((message, i) => `// #${(sequence ?? 0) + i}\n${message.decoded}`) : [];
    const decoded = batch ? heads.join("\n") : (messages[0]?.decoded ?? "");
    setText(part(this.dialog, "frame-decoded"), decoded === "" ? t("inspect.not_decoded") : decoded);
  }
}

/** When the frame passed the server, what its message says of its own time, and how long after the frame before. */
function timings(frame: Frame, before: Frame | null): HTMLElement[] {
  const steps: Step[] = [
    { name: t("trace.timing.before"), at: before?.line.at ?? null },
    { name: t("trace.timing.made"), at: madeAt(frame.line.text) },
    { name: t("trace.timing.passed"), at: frame.line.at },
  ];
  const passed = frame.line.at;
  return steps
    .filter((step) => step.at !== null)
    .map((step) => {
      const ms = ((step.at ?? passed) - passed) * 1000;
      const apart = step.at === passed ? "" : `${ms < 0 ? "−" : "+"}${milliseconds(Math.abs(ms))}`;
      const time = element("time", { title: exact(step.at) }, clockMs(step.at));
      const name = element("span", { class: "timing-name" }, step.name);
      return element("li", {}, name, time, element("span", { class: "timing-took" }, apart));
    });
}

/** The time that the message itself carries, Unix seconds. */
function madeAt(text: string): number | null {
  const found = /"timestamp"\s*:\s*(\d{9,11}(?:\.\d+)?)\b/.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}
