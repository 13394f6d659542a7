/**
 * The page of dashboards: which one, its figures every few seconds, and composing it. What is not saved is said; a page
 * that somebody else has changed meanwhile is never overwritten.
 */
import type { Problem } from "../socket/admin-api";
import {
  type Board,
  type BoardsAnswer,
  chooseFirst,
  deleteBoard,
  type Figure,
  type FiguresAnswer,
  listBoards,
  listMetrics,
  makeBoard,
  type Metric,
  readBoard,
  readFigures,
  saveBoard,
  type Widget,
} from "../socket/dashboards-api";
import { draftOf, WIDGETS_MAX, withNew } from "../state/board";
import { EMPTY, keyOf, type Memory, merged, since } from "../state/figures";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { BoardControls } from "./board-controls";
import { type Banner, Banners } from "./banners";
import type { ChartView } from "./chart";
import { part, setHidden, setText } from "./dom";
import { startFrame } from "./frame";
import { GridView } from "./grid-view";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { pollBanners } from "./poll-banners";
import { Poller } from "./poller";
import { problemRest, problemTitle } from "./problem-words";
import { count, t } from "./text";
import { WidgetDialog } from "./widget-dialog";

const EVERY_MS = 5_000;
const RANGE_S = 900;
const BUILT_IN = "overview";

export class DashboardPage {
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly dialog = new WidgetDialog();
  private readonly view: ChartView = {
    zoom: null,
    rangeS: RANGE_S,
    zoomed: (zoom) => {
      this.view.zoom = zoom;
      this.grid.restyle();
      this.loop.mark();
    },
  };
  private readonly grid = new GridView(part(document, "grid"), this.view, {
    changed: (widgets, said) => this.rearranged(widgets, said),
    edit: (widget) => this.dialog.open(widget, (composed) => this.replaced(widget.id, composed)),
  });
  private readonly poller = new Poller(
    () => this.round(),
    () => this.loop.mark(),
    EVERY_MS,
  );
  private readonly controls = new BoardControls({
    choose: (id) => void this.choose(id),
    arrange: () => this.arrange(),
    add: () => this.dialog.open(null, (composed) => this.addWidget(composed)),
    save: () => void this.save(),
    cancel: () => this.cancel(),
    make: (name) => void this.make(name, this.board?.widgets ?? []),
    rename: (name, shared) => void this.rename(name, shared),
    remove: () => void this.remove(),
    first: (everybody) => void this.first(everybody),
    node: (node) => this.onNode(node),
  });
  private readonly notices = new Map<string, Banner>();
  private boards: BoardsAnswer = { dashboards: [], first: null, first_of_all: null };
  private metrics: ReadonlyMap<string, Metric> = new Map();
  private board: Board | null = null;
  private draft: readonly Widget[] | null = null;
  private memory: Memory = EMPTY;
  private last: FiguresAnswer | null = null;
  private node = new URLSearchParams(location.search).get("node") ?? "";
  private clock: ServerClock = newClock(0, Date.now() / 1000);

  start(): void {
    startFrame({
      items: () =>
        this.boards.dashboards.map((board) => ({
          kind: t("dash.title"),
          name: board.name,
          run: () => void this.choose(board.id),
        })),
      key: (event) => this.onKey(event),
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.clock.offset,
    });
    document.addEventListener("tidewire:theme", () => this.restyle());
    window.addEventListener("beforeunload", (event) => {
      if (this.dirty()) event.preventDefault();
    });
    this.loop.add(() => this.draw());
    this.loop.start();
    this.poller.start();
  }

  // ---- asking ----

  private async round(): Promise<Problem | null> {
    if (this.board === null) {
      const problem = await this.load();
      if (problem !== null) return problem;
    }
    return this.readNow();
  }

  private async load(): Promise<Problem | null> {
    const [boards, metrics] = await Promise.all([listBoards(), listMetrics()]);
    if (!boards.ok) return boards.problem;
    if (!metrics.ok) return metrics.problem;
    this.boards = boards.value;
    this.metrics = new Map(metrics.value.metrics.map((metric) => [metric.name, metric]));
    this.dialog.know(metrics.value.metrics);
    const wanted = new URLSearchParams(location.search).get("dashboard");
    const id = wanted ?? this.boards.first ?? this.boards.first_of_all ?? BUILT_IN;
    const board = await readBoard(id);
    if (!board.ok) {
      if (board.problem.status !== 404 || id === BUILT_IN) return board.problem;
      // It has been deleted or is no longer shared: said, and the one that all have is shown in its place.
      this.notice("error", problemTitle(board.problem), t("dash.instead"));
      history.replaceState(null, "", location.pathname);
      const other = await readBoard(BUILT_IN);
      if (!other.ok) return other.problem;
      this.show(other.value);
      return null;
    }
    this.show(board.value);
    return null;
  }

  private async readNow(): Promise<Problem | null> {
    const figures = this.figures();
    const keys = [...figures.keys()];
    const { node } = this;
    if (keys.length === 0) return null;
    const from = since(this.memory, keys);
    const reply = await readFigures([...figures.values()], RANGE_S, from, node);
    // Something else is wanted by now: the poller asks again at once.
    if (node !== this.node || [...this.figures().keys()].join() !== keys.join()) return null;
    if (!reply.ok) return reply.problem;
    this.last = reply.value;
    this.clock = observe(this.clock, reply.value.at, Date.now() / 1000);
    this.memory = merged(this.memory, keys, reply.value, from);
    return null;
  }

  private figures(): Map<string, Figure> {
    const found = new Map<string, Figure>();
    for (const widget of this.widgets()) for (const figure of widget.figures) found.set(keyOf(figure), figure);
    return found;
  }

  private widgets(): readonly Widget[] {
    return this.draft ?? this.board?.widgets ?? [];
  }

  // ---- choosing and composing ----

  private async choose(id: string): Promise<void> {
    if (this.dirty() && !confirm(t("dash.leave"))) {
      this.loop.mark();
      return;
    }
    const reply = await readBoard(id);
    if (!reply.ok) return this.refused(reply.problem);
    const address = new URLSearchParams(location.search);
    address.set("dashboard", id);
    history.replaceState(null, "", `?${address}`);
    this.show(reply.value);
  }

  private show(board: Board): void {
    this.board = board;
    this.draft = null;
    this.poller.now();
    this.loop.mark();
  }

  private dirty(): boolean {
    return this.draft !== null && JSON.stringify(this.draft) !== JSON.stringify(this.board?.widgets);
  }

  private arrange(): void {
    if (this.board?.mine !== true) return;
    this.draft = this.board.widgets;
    this.loop.mark();
  }

  private cancel(): void {
    if (this.dirty() && !confirm(t("dash.leave"))) return;
    this.draft = null;
    this.loop.mark();
  }

  private rearranged(widgets: readonly Widget[], said: string): void {
    if (this.draft === null) return;
    this.draft = widgets;
    if (said !== "") setText(part(document, "announce"), said);
    this.loop.mark();
  }

  private replaced(id: string, composed: Omit<Widget, "id" | "x" | "y" | "w" | "h">): void {
    this.rearranged(
      this.widgets().map((widget) => (widget.id === id ? { ...widget, ...composed } : widget)),
      "",
    );
    this.poller.now();
  }

  private addWidget(composed: Omit<Widget, "id" | "x" | "y" | "w" | "h">): void {
    if (this.widgets().length >= WIDGETS_MAX) {
      this.notice("warn", t("dash.full", { count: count(WIDGETS_MAX) }), "");
      return;
    }
    this.rearranged(withNew(this.widgets(), composed), t("dash.added"));
    this.poller.now();
  }

  private async save(): Promise<void> {
    const { board, draft } = this;
    if (board === null || draft === null) return;
    const reply = await saveBoard(board.id, draftOf(board, draft));
    if (!reply.ok) return this.refused(reply.problem);
    await this.changed(reply.value, t("dash.saved"));
  }

  private async rename(name: string, shared: boolean): Promise<void> {
    const { board } = this;
    if (board === null) return;
    const reply = await saveBoard(board.id, { ...draftOf(board, this.widgets()), name, shared });
    if (!reply.ok) return this.refused(reply.problem);
    await this.changed(reply.value, t("dash.saved"));
  }

  private async make(name: string, widgets: readonly Widget[]): Promise<void> {
    const reply = await makeBoard({ name, shared: false, version: 0, widgets });
    if (!reply.ok) return this.refused(reply.problem);
    history.replaceState(null, "", `?${new URLSearchParams({ dashboard: reply.value.id })}`);
    await this.changed(reply.value, t("dash.made"));
    this.arrange();
  }

  private async remove(): Promise<void> {
    const { board } = this;
    if (board === null) return;
    const reply = await deleteBoard(board.id);
    if (!reply.ok && reply.problem.status !== 0) return this.refused(reply.problem);
    history.replaceState(null, "", location.pathname);
    this.board = null;
    this.draft = null;
    this.notice("info", t("dash.deleted", { name: board.name }), "");
    this.poller.now();
  }

  private async first(everybody: boolean): Promise<void> {
    const { board } = this;
    if (board === null) return;
    const reply = await chooseFirst(board.built_in ? null : board.id, everybody);
    if (!reply.ok && reply.problem.status !== 0) return this.refused(reply.problem);
    await this.relist();
    this.notice("info", everybody ? t("dash.first.everybody") : t("dash.first.mine"), "");
  }

  private async changed(board: Board, said: string): Promise<void> {
    this.notices.clear();
    this.show(board);
    setText(part(document, "announce"), said);
    await this.relist();
  }

  private async relist(): Promise<void> {
    const reply = await listBoards();
    if (reply.ok) this.boards = reply.value;
    this.loop.mark();
  }

  private onNode(node: string): void {
    this.node = node;
    this.memory = EMPTY;
    const address = new URLSearchParams(location.search);
    if (node === "") address.delete("node");
    else address.set("node", node);
    history.replaceState(null, "", `?${address}`);
    this.poller.now();
  }

  private onKey(event: KeyboardEvent): boolean {
    if (event.key !== "e" || this.draft !== null) return false;
    this.arrange();
    return true;
  }

  // ---- saying ----

  private refused(problem: Problem): void {
    const more = problem.correlationId === "" ? "" : ` (${problem.correlationId})`;
    this.notice("error", problemTitle(problem), `${problemRest(problem)}${more}`.trim());
  }

  private notice(tone: Banner["tone"], title: string, text: string): void {
    const dismiss = () => {
      this.notices.delete("notice");
      this.loop.mark();
    };
    const actions = [{ label: t("banner.dismiss"), testid: "dismiss", run: dismiss }];
    this.notices.delete("notice");
    this.notices.set("notice", { key: `notice-${Date.now()}`, tone, title, text, actions });
    this.loop.mark();
  }

  private restyle(): void {
    this.grid.restyle();
    this.loop.mark();
  }

  private draw(): void {
    const now = Date.now() / 1000 + this.clock.offset;
    this.banners.draw([...pollBanners(this.poller, this.last), ...this.notices.values()]);
    this.pill.draw(this.poller.look, this.last?.complete === false ? "warn" : "ok");
    this.controls.draw({
      boards: this.boards,
      board: this.board,
      arranging: this.draft !== null,
      dirty: this.dirty(),
      node: this.node,
      nodes: this.last === null ? [] : this.last.nodes,
    });
    setHidden(part(document, "skeleton"), this.board !== null);
    setHidden(part(document, "empty"), this.board === null || this.widgets().length > 0);
    this.grid.draw(this.widgets(), this.draft !== null, this.memory, this.metrics, now);
  }
}
