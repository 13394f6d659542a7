import { describe, expect, it } from "vitest";
import { noSeconds, type Second, SECONDS_MAX, takeSeconds } from "../src/state/seconds";

function second(at: number, out: number, queued = 0): Second {
  return [at, 0, out, 0, out * 100, queued, 0, null];
}

describe("a connection's seconds", () => {
  it("become rates by what rose between two of them", () => {
    const seconds = takeSeconds(noSeconds(), [second(10, 5), second(11, 7, 64), second(13, 11)]);
    expect(seconds.times).toEqual([10, 11, 13]);
    expect(seconds.messagesOut).toEqual([null, 2, 2]);
    expect(seconds.bytesOut).toEqual([null, 200, 200]);
    expect(seconds.queued).toEqual([0, 64, 0]);
  });

  it("are taken once, however often they come", () => {
    const once = takeSeconds(noSeconds(), [second(10, 5), second(11, 7)]);
    const twice = takeSeconds(once, [second(10, 5), second(11, 7), second(12, 8)]);
    expect(twice.times).toEqual([10, 11, 12]);
    expect(twice.messagesOut).toEqual([null, 2, 1]);
  });

  it("leave a hole where figures are missing or a counter fell", () => {
    const seconds = takeSeconds(noSeconds(), [second(10, 5), second(20, 50), second(21, 3)]);
    expect(seconds.messagesOut).toEqual([null, null, null]);
  });

  it("are bounded", () => {
    const many = Array.from({ length: SECONDS_MAX + 50 }, (_, i) => second(i, i));
    const seconds = takeSeconds(noSeconds(), many);
    expect([seconds.times.length, seconds.queued.length, seconds.times[0]]).toEqual([SECONDS_MAX, SECONDS_MAX, 50]);
  });
});
