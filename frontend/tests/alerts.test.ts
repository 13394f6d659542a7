import { describe, expect, it } from "vitest";
import { type AlertInput, alerts, staleSince } from "../src/state/alerts";
import { worthShowing } from "../src/state/nodes";
import { node, reach, status } from "./make";

const error = { code: "unauthorized", message: "m", required_action: "a", will_not: "w" };
const input = (more: Partial<AlertInput> = {}): AlertInput => ({
  link: { kind: "live", since: 1000 },
  downSince: null,
  status: status(),
  notices: [],
  busErrorsSeen: 0,
  ...more,
});
const kinds = (more: Partial<AlertInput>): string[] => alerts(input(more)).map((alert) => alert.kind);

describe("alerts", () => {
  it("are none while all is well", () => {
    expect(kinds({})).toEqual([]);
    expect(staleSince(input())).toBeNull();
  });

  it("say that the page is cut off, also while it tries", () => {
    expect(kinds({ link: { kind: "waiting", since: 5000, retryAt: 9000, reason: "" } })).toEqual(["reconnecting"]);
    expect(kinds({ link: { kind: "connecting" }, downSince: 5 })).toEqual(["reconnecting"]);
    expect(kinds({ link: { kind: "connecting" }, downSince: null })).toEqual([]);
  });

  it("do not speak of a silent feed while the page cannot know", () => {
    const silent = status({ feed_silent_since: 7, warnings: ["The feed has stopped reporting."] });
    expect(kinds({ status: silent })).toEqual(["silent"]);
    expect(kinds({ status: silent, link: { kind: "waiting", since: 5000, retryAt: 9000, reason: "" } })).toEqual([
      "reconnecting",
    ]);
    expect(staleSince(input({ status: silent }))).toBe(7);
  });

  it("say which part of the broker this node has lost, the first that broke, and name nodes that are not heard", () => {
    const up = reach();
    const down = reach({ state: "down", since: 5, reason: "no answer" });
    const open = reach({ state: "down", circuit: "open", since: 4, reason: "timeout" });
    const both = status({
      nodes: [node({ this: true, reach: { bus: down, room_log: open } }), node({ overdue: true })],
    });
    expect(alerts(input({ status: both }))).toEqual([{ kind: "broker", trouble: { part: "room_log", reach: open } }]);
    const other = node({ instance: "b:1", reach: { bus: up, room_log: open } });
    const late = node({ instance: "c:1", overdue: true });
    const fine = status({ nodes: [node({ this: true }), node(), other, late] });
    expect(alerts(input({ status: fine }))).toEqual([
      { kind: "node", node: other, trouble: { part: "room_log", reach: open } },
      { kind: "node", node: late, trouble: null },
    ]);
    expect(kinds({ status: both, link: { kind: "waiting", since: 5000, retryAt: 9000, reason: "" } })).toEqual([
      "reconnecting",
    ]);
    const slow = status({ nodes: [node({ this: true, reach: { bus: reach({ state: "degraded" }), room_log: up } })] });
    expect(kinds({ status: slow })).toEqual(["broker"]);
    expect(worthShowing(status({ nodes: [node({ reach: { bus: reach({ kind: "memory" }) } })] }))).toBe(false);
    expect(worthShowing(both)).toBe(true);
  });

  it("tell every admin about a paused feed", () => {
    const [alert] = alerts(input({ status: status({ paused: { by: "ada", since: 3 } }) }));
    expect(alert).toEqual({ kind: "paused", by: "ada", since: 3, reason: "" });
  });

  it("show bus errors until they are dismissed, and again when there are more", () => {
    const bus = { count: 3, last_sample: null, last_reason: "not JSON", last_at: 9 };
    expect(kinds({ status: status({ bus_errors: bus }) })).toEqual(["bus_errors"]);
    expect(kinds({ status: status({ bus_errors: bus }), busErrorsSeen: 3 })).toEqual([]);
    expect(kinds({ status: status({ bus_errors: { ...bus, count: 4 } }), busErrorsSeen: 3 })).toEqual(["bus_errors"]);
  });

  it("put the end of the session first", () => {
    const parting = { error: { ...error, code: "logged_out" }, at: 3 };
    const other = { error: { ...error, code: "slow_viewer" }, at: 2 };
    const ended = { link: { kind: "ended", since: 4000, error } as const, downSince: 3, notices: [other, parting] };
    expect(kinds(ended)).toEqual(["ended", "notice"]);
    expect(staleSince(input(ended))).toBe(3);
  });

  it("say that a loop of the server has died or stands still", () => {
    const loop = { running: true, interval: 1, last_run_age: 0.4, runs: 9, failures: 0, last_error: null };
    const dead = { ...loop, running: false, last_error: "boom" };
    const late = { ...loop, last_run_age: 60 };
    expect(alerts(input({ status: status({ loops: { a: loop, b: dead, c: late } }) }))).toEqual([
      { kind: "loop", name: "b", reason: "boom" },
      { kind: "loop", name: "c", reason: "" },
    ]);
  });
});
