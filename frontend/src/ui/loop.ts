/**
 * The one animation frame that all drawing shares. Parts register a draw function; a frame is asked for only when
 * something was marked, and never in a hidden tab. It must not know what is drawn.
 */

type Draw = (nowMs: number) => void;

export class Loop {
  private readonly draws: Draw[] = [];
  private frame: number | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  add(draw: Draw): void {
    this.draws.push(draw);
  }

  /** Asks for one frame; as often as you like. */
  mark(): void {
    if (this.frame !== null || document.hidden) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      const now = Date.now();
      for (const draw of this.draws) draw(now);
    });
  }

  /** Begins: ages and countdowns move once a second while the tab is seen. */
  start(): void {
    document.addEventListener("visibilitychange", () => this.onVisibility());
    this.onVisibility();
  }

  private onVisibility(): void {
    clearInterval(this.timer);
    if (document.hidden) return;
    this.timer = setInterval(() => this.mark(), 1000);
    this.mark();
  }
}
