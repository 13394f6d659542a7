/**
 * The page of one connection: what is known of it, its rooms, its figures second by second, its trace, and closing or
 * banning it. One that has ended is shown with code and reason, and nothing is asked any more.
 */
import type { Problem, Reply } from "../socket/admin-api";
import { closeup, type CloseupAnswer } from "../socket/closeup-api";
import { disconnect } from "../socket/connections-api";
import { listTraces, type RunningTrace } from "../socket/trace-stream";
import { noSeconds, type Seconds, takeSeconds } from "../state/seconds";
import { AnswerLoop } from "./answer-loop";
import { BanDialog, banned } from "./ban-dialog";
import { Chart, type ChartView } from "./chart";
import { drawFacts, drawRooms } from "./connection-facts";
import { nameOf } from "./connection-columns";
import { DisconnectDialog } from "./disconnect-dialog";
import { part, setAttribute, setHidden, setText } from "./dom";
import type { LinkLook } from "./link-pill";
import { closeWords } from "./server-words";
import { bytes, clock, count, decimal, exact, span, t, word } from "./text";
import { TracePanel } from "./trace-panel";

const KEPT_S = 900;
const COLOUR = "--tw-accent";

interface Answer {
  readonly closeup: CloseupAnswer;
  readonly traces: readonly RunningTrace[];
}

export class ConnectionPage {
  private readonly root = part(document, "closeup");
  private readonly id = this.root.dataset["connection"] ?? "";
  private readonly mayManage = this.root.dataset["mayManage"] === "true";
  private readonly view: ChartView = { zoom: null, rangeS: KEPT_S, zoomed: (zoom) => this.zoom(zoom) };
  private readonly charts = {
    messages: this.chart("messages"),
    bytes: this.chart("bytes"),
    queue: this.chart("queue"),
  };
  private readonly loop = new AnswerLoop<Answer>({
    ask: () => this.ask(),
    timeOf: (answer) => answer.closeup.at,
    take: (answer) => this.take(answer),
    draw: (now, look) => this.draw(now, look),
    restyle: () => this.restyle(),
    items: () => (this.panel === null ? [] : [this.traceItem(this.panel)]),
    key: (event) => this.onKey(event),
  });
  private readonly panel = this.mayManage
    ? new TracePanel(
        () => (this.last?.closeup.connection ? { kind: "connection", name: this.id } : null),
        () => this.loop.mark(),
      )
    : null;
  private readonly dialogs = this.mayManage ? this.makeDialogs() : null;
  private seconds: Seconds = noSeconds();
  private last: Answer | null = null;
  private drawnSeconds = -1;

  start(): void {
    if (this.dialogs !== null) {
      const { disconnecting, banning } = this.dialogs;
      part(document, "disconnect").addEventListener("click", () =>
        disconnecting.open([{ id: this.id, name: this.name() }]),
      );
      part(document, "ban").addEventListener("click", () => banning.open(this.outlaws()));
    }
    this.loop.start();
  }

  // ---- asking ----

  private async ask(): Promise<Reply<Answer>> {
    const reply = await closeup(this.id, this.seconds.last?.[0] ?? 0);
    if (!reply.ok) return reply;
    const traces = this.mayManage ? await listTraces() : null;
    return { ok: true, value: { closeup: reply.value, traces: traces?.ok ? traces.value.traces : [] } };
  }

  private take(answer: Answer): void {
    this.seconds = takeSeconds(this.seconds, answer.closeup.seconds);
    this.last = answer;
    if (answer.closeup.closed !== null) this.loop.rest(true);
  }

  // ---- drawing ----

  private draw(now: number, look: LinkLook): void {
    const answer = this.last?.closeup ?? null;
    const alive = answer?.connection ?? null;
    const closed = answer?.closed ?? null;
    const state = answer === null ? "loading" : alive === null ? "closed" : look.kind === "live" ? "open" : "stale";
    setAttribute(this.root, "data-state", state);
    setAttribute(this.root, "data-stale", state === "stale" ? "true" : null);
    setText(part(document, "name"), this.name());
    setText(part(document, "state"), alive === null ? t(`closeup.${state}`) : word("closeup.state", alive.state));
    setHidden(part(document, "ended"), closed === null);
    if (closed !== null) {
      setText(part(document, "ended"), this.ending(closed));
      setAttribute(part(document, "ended"), "title", exact(closed.closed_at));
    }
    setHidden(part(document, "facts"), alive === null && closed !== null);
    if (alive !== null) {
      drawFacts(this.root, alive, now);
      drawRooms(part(document, "rooms"), answer?.rooms ?? []);
    }
    setText(part(document, "rooms-count"), alive === null ? "" : count(alive.room_count));
    setHidden(part(document, "rooms-empty"), alive === null || alive.room_count > 0);
    for (const name of ["disconnect", "ban"] as const) {
      const button = document.querySelector<HTMLButtonElement>(`[data-part="${name}"]`);
      if (button !== null) button.disabled = answer === null || (name === "disconnect" && alive === null);
    }
    this.drawCharts(answer);
    this.panel?.draw(now, this.last?.traces ?? []);
  }

  private ending(closed: NonNullable<CloseupAnswer["closed"]>): string {
    const code = `${closed.close_code ?? t("closeup.no_code")} ${closed.reason}`.trim();
    return t("closeup.ended", {
      time: clock(closed.closed_at),
      code,
      meaning: closeWords(closed.reason, closed.meaning),
      held: span(closed.held_s),
      ip: closed.ip,
      node: closed.node,
    });
  }

  private drawCharts(answer: CloseupAnswer | null): void {
    if (answer === null) return;
    const since =
      answer.watched_since === null
        ? t("closeup.unwatched")
        : t("closeup.watched", { time: clock(answer.watched_since) });
    setText(part(document, "since"), since);
    const { times, messagesIn, messagesOut, bytesIn, bytesOut, queued } = this.seconds;
    const newest = times.at(-1) ?? 0;
    if (times.length === 0 || newest === this.drawnSeconds) return;
    this.drawnSeconds = newest;
    const pair = (out: (number | null)[], into: (number | null)[]): { label: string; values: (number | null)[] }[] => [
      { label: t("closeup.out"), values: out },
      { label: t("closeup.in"), values: into },
    ];
    this.charts.messages.draw(times, pair(messagesOut, messagesIn), decimal, t("closeup.messages"));
    this.charts.bytes.draw(times, pair(bytesOut, bytesIn), bytes, t("closeup.bytes"));
    this.charts.queue.draw(times, [{ label: t("closeup.queue"), values: queued }], bytes, t("closeup.queue"));
  }

  private chart(name: string): Chart {
    return new Chart(part(document, `chart-${name}`), part(document, `read-${name}`), this.view, COLOUR);
  }

  private zoom(zoom: ChartView["zoom"]): void {
    this.view.zoom = zoom;
    this.drawnSeconds = -1;
    this.loop.mark();
  }

  private restyle(): void {
    for (const chart of Object.values(this.charts)) chart.restyle();
    this.drawnSeconds = -1;
  }

  // ---- what is done to it ----

  private name(): string {
    const answer = this.last?.closeup;
    const row = answer?.connection ?? answer?.closed ?? null;
    return row === null ? this.id : nameOf(row);
  }

  private outlaws(): { users: string[]; addresses: string[] } {
    const answer = this.last?.closeup;
    const row = answer?.connection ?? answer?.closed ?? null;
    if (row === null) return { users: [], addresses: [] };
    return row.username === null ? { users: [], addresses: [row.ip] } : { users: [row.username], addresses: [] };
  }

  private makeDialogs(): { disconnecting: DisconnectDialog; banning: BanDialog } {
    return {
      disconnecting: new DisconnectDialog((doomed, reason) => this.close(doomed.length, reason)),
      banning: new BanDialog((answer) => {
        this.loop.notice({ key: "banned", ...banned(answer) });
        this.loop.refresh();
      }),
    };
  }

  private async close(number: number, reason: string): Promise<Problem | null> {
    const reply = await disconnect([this.id], number, reason);
    if (!reply.ok) return reply.problem;
    this.loop.refresh();
    return null;
  }

  private traceItem(panel: TracePanel): { kind: string; name: string; run: () => void } {
    return { kind: t("palette.kind.action"), name: t("trace.start"), run: () => panel.toggle() };
  }

  private onKey(event: KeyboardEvent): boolean {
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key !== " " || onControl || this.panel === null) return false;
    this.panel.togglePause();
    return true;
  }
}
