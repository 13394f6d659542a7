/** The recorded conversations in tests/client/cases: this session does at each step exactly what the Python one did. */
import { describe, expect, it } from "vitest";

import type { Action, Fields } from "../../src/client/event.ts";
import { judge } from "../../src/client/retry.ts";
import { Session } from "../../src/client/session.ts";
import type { Json, Since } from "../../src/client/wire.ts";
import { canonical } from "./canonical.ts";

interface Step {
  at: number;
  call: string;
  args: Json[];
  expect: Json[];
  due: number | null;
}

interface Case {
  name: string;
  says: string;
  with_token: boolean;
  max_queue: number;
  draw: number;
  steps: Step[];
}

const RANGES = "close_code_ranges.json";
const files = new Map(
  Object.entries(
    import.meta.glob<unknown>("../../../tests/client/cases/*.json", { eager: true, import: "default" }),
  ).map(([path, content]) => [path.replace(/^.*\//, ""), content]),
);
const names = [...files.keys()].filter((name) => name !== RANGES);

function play(session: Session, { call, args, at }: Step): Action[] {
  const text = (index: number): string => args[index] as string;
  const number = (index: number): number => args[index] as number;
  switch (call) {
    case "start":
    case "stop":
    case "nudge":
    case "tick":
      return session[call](at);
    case "subscribe":
      return session.subscribe(text(0), args[1] as unknown as Since | null, args[2] as boolean, at);
    case "unsubscribe":
    case "pause":
    case "resume":
    case "token":
    case "received":
      return session[call](text(0), at);
    case "request":
      return session.request(number(0), args[1] as Fields, at);
    case "cancel":
      session.cancel(number(0));
      return [];
    case "token_failed":
      return session.tokenFailed(text(0), args[1] as boolean, at);
    case "opened":
      return session.opened(args[0] as string | null, at);
    case "lost":
      return session.lost(number(0), text(1), at);
    case "refused":
      return session.refused(number(0), args[1] as number | null, at);
    default:
      throw new Error(`unknown call ${call}`);
  }
}

describe("recorded cases", () => {
  it("are there", () => {
    expect(names.length).toBeGreaterThan(30);
  });

  it.each(names)("%s", (name) => {
    const recorded = files.get(name) as Case;
    const session = new Session({
      draw: () => recorded.draw,
      withToken: recorded.with_token,
      maxQueue: recorded.max_queue,
    });
    recorded.steps.forEach((step, index) => {
      const where = `step ${index}: ${step.call} at ${step.at}`;
      expect(play(session, step).map(canonical), where).toEqual(step.expect);
      expect(session.dueMs(), where).toBe(step.due);
    });
  });

  it("close codes mean the same", () => {
    const { ranges } = files.get(RANGES) as { ranges: { from: number; to: number; reconnect: string }[] };
    for (const range of ranges) {
      for (let code = range.from; code <= range.to; code++)
        expect([code, judge(code, null)]).toEqual([code, range.reconnect]);
    }
    expect(ranges[0]?.from).toBe(1000);
    expect(ranges.at(-1)?.to).toBe(4999);
  });
});
