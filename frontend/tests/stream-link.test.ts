import { describe, expect, it } from "vitest";
import type { Link } from "../src/client/index";
import { downSince, FRESH_LINK, follow } from "../src/state/stream-link";

const waiting = (retryInMs: number): Link => ({ state: "waiting", retryInMs, code: 1006, reason: null });

describe("the link", () => {
  it("remembers since when it is down through every attempt, and forgets once it is live", () => {
    let link = follow(FRESH_LINK, { state: "connecting" }, 0);
    expect(downSince(link)).toBeNull();
    link = follow(link, { state: "connected", connectionId: null, user: null }, 10);
    link = follow(link, waiting(500), 1000);
    expect(link).toEqual({ kind: "waiting", downSince: 1000, retryAt: 1500, reason: null });
    link = follow(link, { state: "connecting" }, 1500);
    link = follow(link, waiting(2000), 1600);
    expect(link).toEqual({ kind: "waiting", downSince: 1000, retryAt: 3600, reason: null });
    link = follow(link, { state: "connected", connectionId: null, user: null }, 4000);
    expect(downSince(link)).toBeNull();
  });

  it("keeps the reason of an end", () => {
    const end: Link = { state: "ended", code: 4512, reason: "logged_out" };
    expect(follow(FRESH_LINK, end, 7)).toEqual({ kind: "ended", at: 7, reason: "logged_out" });
    expect(follow(FRESH_LINK, { ...end, reason: null }, 7)).toEqual({ kind: "ended", at: 7, reason: "4512" });
  });
});
