/** The page of a trace of a user, a room or a symbol; what is named stands in the address. The trace is trace-panel's. */
import { listTraces, type RunningTrace, type Traced, type TracesAnswer } from "../socket/trace-stream";
import type { Takes } from "../state/address";
import { AnswerLoop } from "./answer-loop";
import { find, part } from "./dom";
import { t } from "./text";
import { TracePanel } from "./trace-panel";

const SYMBOL_PREFIX = "market:";

/** What the page's address may name: somebody, or a room. */
export function traceTakes(query: string): Takes {
  const given = new URLSearchParams(query);
  return given.has("user") && given.has("room") ? { names: { user: "any" } } : { names: { user: "any", room: "any" } };
}

export class TracePage {
  private readonly kind = document.querySelector<HTMLSelectElement>("#target-kind");
  private readonly name = document.querySelector<HTMLInputElement>("#target-name");
  private traces: readonly RunningTrace[] = [];
  private readonly loop = new AnswerLoop<TracesAnswer>({
    ask: () => listTraces(),
    timeOf: () => null,
    take: (answer) => {
      this.traces = answer.traces;
    },
    draw: (now) => this.panel?.draw(now, this.traces),
    items: () =>
      this.panel === null
        ? []
        : [{ kind: t("palette.kind.action"), name: t("trace.start"), run: () => this.panel?.toggle() }],
    key: (event) => {
      const onControl = event.target instanceof Element && event.target.closest("a, button") !== null;
      if (event.key !== " " || onControl || this.panel === null) return false;
      this.panel.togglePause();
      return true;
    },
  });
  private readonly panel =
    this.name === null
      ? null
      : new TracePanel(
          () => this.target(),
          () => this.loop.mark(),
        );

  start(): void {
    if (this.kind !== null && this.name !== null) {
      this.readAddress(this.kind, this.name);
      const form = part<HTMLFormElement>(document, "target");
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        this.panel?.toggle();
      });
      form.addEventListener("input", () => this.writeAddress());
    }
    this.loop.start();
  }

  private target(): Traced | null {
    const name = this.name?.value.trim() ?? "";
    if (name === "") return null;
    const kind = this.kind?.value;
    if (kind === "user") return { kind: "user", name };
    return { kind: "room", name: kind === "symbol" ? `${SYMBOL_PREFIX}${name.toUpperCase()}` : name };
  }

  private readAddress(kind: HTMLSelectElement, name: HTMLInputElement): void {
    const given = new URLSearchParams(location.search);
    const room = given.get("room") ?? "";
    const symbol = room.startsWith(SYMBOL_PREFIX);
    kind.value = given.has("user") ? "user" : symbol ? "symbol" : "room";
    name.value = given.get("user") ?? (symbol ? room.slice(SYMBOL_PREFIX.length) : room);
    if (name.value === "") find<HTMLInputElement>(document, "#target-name").focus();
  }

  private writeAddress(): void {
    const target = this.target();
    const query = target === null ? "" : `?${new URLSearchParams({ [target.kind]: target.name })}`;
    history.replaceState(null, "", `${location.pathname}${query}`);
    this.loop.mark();
  }
}
