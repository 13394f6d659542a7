/**
 * The conduct of a page that asks once a second and shows the answer: frame, pill, banners, server time. What is asked and
 * drawn is told by the page that makes it.
 */
import type { Problem, Reply } from "../socket/admin-api";
import { newClock, observe, type ServerClock } from "../state/server-clock";
import { type Banner, Banners } from "./banners";
import { part } from "./dom";
import { startFrame } from "./frame";
import { LinkPill, type LinkLook } from "./link-pill";
import { pollBanners } from "./poll-banners";
import { Loop } from "./loop";
import type { Item } from "./palette";
import { Poller } from "./poller";
import { t } from "./text";

export interface AnswerSpec<A> {
  ask(): Promise<Reply<A>>;
  /** The answer's own time, Unix seconds; null if it has none. */
  timeOf(answer: A): number | null;
  take(answer: A): void;
  draw(now: number, look: LinkLook): void;
  banners?(): Banner[];
  items?(): Item[];
  key?(event: KeyboardEvent): boolean;
  restyle?(): void;
}

export class AnswerLoop<A> {
  private readonly loop = new Loop();
  private readonly banners = new Banners(part(document, "banners"));
  private readonly pill = new LinkPill();
  private readonly notices = new Map<string, Banner>();
  private readonly poller: Poller;
  private readonly spec: AnswerSpec<A>;
  private clock: ServerClock = newClock(0, Date.now() / 1000);

  constructor(spec: AnswerSpec<A>) {
    this.spec = spec;
    this.poller = new Poller(
      () => this.round(),
      () => this.loop.mark(),
    );
  }

  start(): void {
    startFrame({
      items: () => this.spec.items?.() ?? [],
      key: (event) => this.spec.key?.(event) ?? false,
      zoneChanged: () => this.restyle(),
      clockOffset: () => this.clock.offset,
    });
    document.addEventListener("tidewire:theme", () => this.restyle());
    this.loop.add(() => this.draw());
    this.loop.start();
    this.poller.start();
  }

  /** Server time, Unix seconds. */
  now(): number {
    return Date.now() / 1000 + this.clock.offset;
  }

  refresh(): void {
    this.poller.now();
  }

  /** Nothing more will change: asks no more. */
  rest(resting: boolean): void {
    this.poller.pause(resting);
  }

  mark(): void {
    this.loop.mark();
  }

  /** Says something until it is dismissed. */
  notice(banner: Omit<Banner, "actions">): void {
    const dismiss = {
      label: t("banner.dismiss"),
      testid: "dismiss",
      run: () => {
        this.notices.delete(banner.key);
        this.loop.mark();
      },
    };
    this.notices.set(banner.key, { ...banner, actions: [dismiss] });
    this.loop.mark();
  }

  private restyle(): void {
    this.spec.restyle?.();
    this.loop.mark();
  }

  private async round(): Promise<Problem | null> {
    const reply = await this.spec.ask();
    if (!reply.ok) return reply.problem;
    const at = this.spec.timeOf(reply.value);
    if (at !== null) this.clock = observe(this.clock, at, Date.now() / 1000);
    this.spec.take(reply.value);
    return null;
  }

  private draw(): void {
    const { look } = this.poller;
    this.pill.draw(look, "ok");
    this.banners.draw([...pollBanners(this.poller, null), ...(this.spec.banners?.() ?? []), ...this.notices.values()]);
    this.spec.draw(this.now(), look);
  }
}
