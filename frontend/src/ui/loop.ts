/**
 * The one animation frame that all drawing shares. Parts register a draw function; a frame is asked for only when
 * something was marked, never in a hidden tab, and never so often that drawing takes more than half of the time: what
 * a slow machine cannot draw it leaves out, and stays quick to answer. What a person does is drawn in the next frame.
 * It must not know what is drawn.
 */

type Draw = (nowMs: number) => void;

const BY_HAND = ["pointerdown", "click", "keydown", "input"] as const;

/** A frame that took longer was held up by other programs; resting as long as that would only add to the delay. */
const MAX_REST_MS = 100;

export class Loop {
  private readonly draws: Draw[] = [];
  private readonly painted = new MessageChannel();
  private frame: number | null = null;
  private resting = false;
  private wanted = false;
  private beganMs = 0;
  private restTimer: ReturnType<typeof setTimeout> | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    this.painted.port1.onmessage = () => this.rest(performance.now() - this.beganMs);
  }

  add(draw: Draw): void {
    this.draws.push(draw);
  }

  /** Asks for one frame; as often as you like. */
  mark(): void {
    if (this.frame !== null || document.hidden) return;
    if (this.resting) {
      this.wanted = true;
      return;
    }
    this.wanted = false;
    this.frame = requestAnimationFrame(() => this.draw());
  }

  /** Begins: ages and countdowns move once a second while the tab is seen. */
  start(): void {
    document.addEventListener("visibilitychange", () => this.onVisibility());
    // Captured, so that the rest has ended when the part that is meant hears of it and marks.
    for (const kind of BY_HAND) document.addEventListener(kind, () => this.wake(), { capture: true });
    this.onVisibility();
  }

  private draw(): void {
    this.frame = null;
    this.resting = true;
    this.beganMs = performance.now();
    // A message is handled behind this frame's style, layout and paint, which cost far more than the scripts.
    this.painted.port2.postMessage(null);
    const now = Date.now();
    for (const draw of this.draws) draw(now);
  }

  /** Leaves the thread to sockets and keys for as long as the frame took. */
  private rest(tookMs: number): void {
    this.restTimer = setTimeout(() => this.wake(), Math.min(tookMs, MAX_REST_MS));
  }

  private wake(): void {
    clearTimeout(this.restTimer);
    this.resting = false;
    if (this.wanted) this.mark();
  }

  private onVisibility(): void {
    clearInterval(this.timer);
    if (document.hidden) return;
    this.timer = setInterval(() => this.mark(), 1000);
    this.mark();
  }
}
