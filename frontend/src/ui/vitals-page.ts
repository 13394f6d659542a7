/**
 * The conduct of a page that watches the nodes: its socket, what is wrong, whose figures they are and how old, pause.
 * What is shown is told by the page that makes it.
 */
import type { ClientError, Fields } from "../client/index";
import { hubUrl } from "../socket/market-channel";
import { VitalsChannel } from "../socket/vitals-channel";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { downSince, FRESH_LINK, follow, type StreamLink } from "../state/stream-link";
import type { Everybody } from "../state/vitals";
import { type Banner, Banners } from "./banners";
import { part, setAttribute, setHidden, setIcon, setText } from "./dom";
import { startFrame } from "./frame";
import { loginUrl } from "./link-banners";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { missingBanners } from "./missing-banners";
import { followNetwork } from "./network";
import type { Item } from "./palette";
import { problemRest, problemTitle, refusedBy } from "./problem-words";
import { linkBanner } from "./streaming-banners";
import { ago, clock, exact, t } from "./text";

/** A message that is this many intervals late is no longer news. */
const LATE_INTERVALS = 3;

export interface VitalsSpec<M extends Everybody> {
  /** Family of the page's room. */
  readonly family: string;
  /** The message that begins it. */
  readonly wish: Fields;
  /** Takes a message; `now`: server time, Unix seconds. */
  take(message: M, now: number): void;
  /** Draws; not called while paused. */
  draw(now: number): void;
  /** Asks at once what it asks for beside the socket. */
  refresh(): void;
  items(): Item[];
  /** The theme or the zone changed: charts take their colours and times anew. */
  restyle(): void;
}

export class VitalsPage<M extends Everybody> {
  readonly loop = new Loop();
  private readonly spec: VitalsSpec<M>;
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly channel: VitalsChannel;
  private clock: ServerClock = newClock(0, Date.now() / 1000);
  private link: StreamLink = FRESH_LINK;
  private offline = !navigator.onLine;
  private refusal: ClientError | null = null;
  private last: { message: M; at: number } | null = null;
  private pausedAt: number | null = null;

  constructor(spec: VitalsSpec<M>) {
    this.spec = spec;
    const room = `${spec.family}:${part(document, "vitals").dataset["user"] ?? ""}`;
    this.channel = new VitalsChannel(hubUrl(location), room, spec.wish, {
      link: (link) => {
        this.link = follow(this.link, link, Date.now());
        this.loop.mark();
      },
      message: (fields, timestamp) => this.take(fields as unknown as M, timestamp),
      refused: (error) => {
        this.refusal = error;
        this.loop.mark();
      },
    });
  }

  start(): void {
    startFrame({
      items: () => [...this.items(), ...this.spec.items()],
      key: (event) => this.onKey(event),
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.clock.offset,
    });
    document.addEventListener("tidewire:theme", () => this.restyle());
    part(document, "pause").addEventListener("click", () => this.togglePause());
    followNetwork(this.channel, (offline) => {
      this.offline = offline;
      this.loop.mark();
    });
    this.loop.add(() => this.draw());
    this.loop.start();
    this.channel.open();
  }

  /** Server time, Unix seconds. */
  now(): number {
    return Date.now() / 1000 + this.clock.offset;
  }

  get message(): M | null {
    return this.last?.message ?? null;
  }

  get paused(): boolean {
    return this.pausedAt !== null;
  }

  /** Learns the server's time from an answer. */
  observe(at: number): void {
    this.clock = observe(this.clock, at, Date.now() / 1000);
  }

  private take(message: M, timestamp: number): void {
    this.observe(timestamp);
    this.refusal = null;
    this.last = { message, at: timestamp };
    this.spec.take(message, timestamp);
    this.loop.mark();
  }

  private restyle(): void {
    this.spec.restyle();
    this.spec.draw(this.now());
    this.loop.mark();
  }

  // ---- drawing ----

  private draw(): void {
    const { link, offline, last } = this;
    const retryAt = link.kind === "waiting" ? link.retryAt : null;
    const kind = this.refusal === null ? link.kind : "ended";
    this.pill.draw(
      { kind, downSince: downSince(link), retryAt, offline },
      last?.message.complete === false ? "warn" : "ok",
    );
    this.banners.draw(this.bannersNow());
    this.drawAge();
    this.drawPause();
    setHidden(part(document, "skeleton"), last !== null || kind === "ended");
    setAttribute(part(document, "vitals"), "aria-busy", last === null ? "true" : null);
    if (!this.paused) this.spec.draw(this.now());
  }

  private drawAge(): void {
    const line = part(document, "age");
    const age = this.last === null ? null : Math.max(0, this.now() - this.last.at);
    const late = this.last !== null && (age ?? 0) > LATE_INTERVALS * this.last.message.interval_s;
    setText(line, age === null ? "" : t(late ? "vitals.age.stale" : "vitals.age", { ago: ago(age) }));
    setAttribute(line, "title", this.last === null ? null : exact(this.last.at));
    setAttribute(part(document, "vitals"), "data-stale", late || this.paused ? "true" : null);
  }

  private drawPause(): void {
    const button = part<HTMLButtonElement>(document, "pause");
    setAttribute(button, "aria-pressed", String(this.paused));
    setIcon(button, this.paused ? "play-fill" : "pause-fill");
    setText(part(button, "pause-word"), t(this.paused ? "view.resume" : "list.pause"));
    setText(part(document, "view-state"), this.paused ? t("list.paused", { time: clock(this.pausedAt) }) : "");
  }

  private bannersNow(): Banner[] {
    const runs = {
      retry: () => this.channel.retryNow(),
      reload: () => this.channel.open(),
      loginUrl: loginUrl(),
      nowMs: Date.now(),
    };
    if (this.refusal !== null) return [this.refusedBanner(this.refusal)];
    const broken = linkBanner(this.link, runs);
    if (broken !== null) return [broken];
    const message = this.last?.message;
    if (message === undefined) return [];
    return [...missingBanners(message), ...message.nodes.filter((node) => node.stale).map(staleBanner)];
  }

  private refusedBanner(error: ClientError): Banner {
    const revoked = error.code === "permission_revoked" || error.code === "permission_denied";
    return {
      key: "refused",
      tone: "error",
      title: revoked ? t("list.forbidden") : problemTitle(refusedBy(error)),
      text: revoked ? t("vitals.forbidden.action") : problemRest(refusedBy(error)),
      actions: [{ label: t("watch.ask_again"), testid: "ask-again", run: () => this.askAgain() }],
    };
  }

  private askAgain(): void {
    this.refusal = null;
    this.channel.open();
    this.spec.refresh();
  }

  // ---- what is pressed ----

  private togglePause(): void {
    this.pausedAt = this.pausedAt === null ? this.now() : null;
    this.loop.mark();
  }

  private onKey(event: KeyboardEvent): boolean {
    const onControl = event.target instanceof Element && event.target.closest("a, button, summary") !== null;
    if (event.key === " " && !onControl) this.togglePause();
    else if (event.key.toLowerCase() === "r") this.spec.refresh();
    else return false;
    return true;
  }

  private items(): Item[] {
    const kind = t("palette.kind.action");
    return [
      { kind, name: t(this.paused ? "view.resume" : "list.pause"), run: () => this.togglePause() },
      { kind, name: t("vitals.refresh"), run: () => this.spec.refresh() },
    ];
  }
}

function staleBanner(node: Everybody["nodes"][number]): Banner {
  return {
    key: `stale-${node.instance}`,
    tone: "warn",
    title: t("vitals.stale", { node: node.node, ago: ago(node.age_s) }),
    text: node.trouble,
    actions: [],
  };
}
