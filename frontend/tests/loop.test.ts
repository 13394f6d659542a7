import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Loop } from "../src/ui/loop";

let frames: (() => void)[] = [];
let painted: (() => void)[] = [];
let listeners = new Map<string, () => void>();
let page = { hidden: false };

/** A browser whose frames and paints come when the test says so. */
class HandChannel {
  readonly port1 = { onmessage: (): void => undefined };
  readonly port2 = { postMessage: (): void => void painted.push(() => this.port1.onmessage()) };
}

/** Lets the frame that was asked for draw, and its paint end `tookMs` after the drawing began. */
function frame(tookMs: number): void {
  for (const run of frames.splice(0)) run();
  vi.advanceTimersByTime(tookMs);
  for (const run of painted.splice(0)) run();
}

beforeEach(() => {
  vi.useFakeTimers();
  frames = [];
  painted = [];
  listeners = new Map();
  page = { hidden: false };
  vi.stubGlobal("document", {
    get hidden(): boolean {
      return page.hidden;
    },
    addEventListener: (kind: string, listener: () => void) => listeners.set(kind, listener),
  });
  vi.stubGlobal("MessageChannel", HandChannel);
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the loop", () => {
  it("draws once per frame however often it was asked to", () => {
    const loop = new Loop();
    const draw = vi.fn();
    loop.add(draw);
    loop.mark();
    loop.mark();
    expect(frames).toHaveLength(1);
    frame(1);
    expect(draw).toHaveBeenCalledTimes(1);
    expect(frames).toHaveLength(0);
  });

  it("rests as long as a frame took, and then draws what came meanwhile", () => {
    const loop = new Loop();
    const draw = vi.fn();
    loop.add(draw);
    loop.mark();
    frame(40);
    loop.mark();
    vi.advanceTimersByTime(39);
    expect(frames).toHaveLength(0);
    vi.advanceTimersByTime(1);
    expect(frames).toHaveLength(1);
    frame(1);
    expect(draw).toHaveBeenCalledTimes(2);
  });

  it("rests a tenth of a second at most", () => {
    const loop = new Loop();
    loop.mark();
    frame(3_000);
    loop.mark();
    vi.advanceTimersByTime(100);
    expect(frames).toHaveLength(1);
  });

  it("draws in the next frame what a person does, however long the last one took", () => {
    const loop = new Loop();
    loop.start();
    frame(80);
    listeners.get("click")?.();
    expect(frames).toHaveLength(0);
    loop.mark();
    expect(frames).toHaveLength(1);
  });

  it("draws what was asked for while it drew", () => {
    const loop = new Loop();
    let more = 1;
    loop.add(() => {
      if (more-- > 0) loop.mark();
    });
    loop.mark();
    frame(5);
    vi.advanceTimersByTime(5);
    expect(frames).toHaveLength(1);
  });

  it("asks for no frame after a rest in which nothing came", () => {
    const loop = new Loop();
    loop.mark();
    frame(10);
    vi.advanceTimersByTime(500);
    expect(frames).toHaveLength(0);
  });

  it("draws nothing in a hidden tab, and at once when it is seen", () => {
    const loop = new Loop();
    page.hidden = true;
    loop.start();
    loop.mark();
    vi.advanceTimersByTime(5_000);
    expect(frames).toHaveLength(0);
    page.hidden = false;
    listeners.get("visibilitychange")?.();
    expect(frames).toHaveLength(1);
  });
});
