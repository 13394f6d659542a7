/** The client as a program uses it: sockets, timers, rooms, requests; on a scripted WebSocket and hand-driven time. */
import { describe, expect, it, vi } from "vitest";

import { Client, type ClientOptions } from "../../src/client/client.ts";
import type { Link, RoomEvent } from "../../src/client/event.ts";
import { ClientError } from "../../src/client/failure.ts";
import { standardHost } from "../../src/client/host.ts";
import { message, Stage } from "./stage.ts";

function begin(options: ClientOptions = {}): { stage: Stage; client: Client; links: Link[] } {
  const stage = new Stage();
  const links: Link[] = [];
  const client = new Client("ws://hub/ws", { host: stage, onLink: (link) => links.push(link), ...options }).start();
  return { stage, client, links };
}

const states = (links: Link[]): string[] => links.map((link) => link.state);

describe("rooms", () => {
  it("share one socket and continue where they were", () => {
    const { stage, client } = begin();
    const seen: RoomEvent[] = [];
    const entered: boolean[] = [];
    const room = client.subscribe("app:a", { onEvent: (e) => seen.push(e), onEntered: (r) => entered.push(r) });
    client.subscribe("app:b");
    stage.socket.greet();
    expect(stage.socket.sent.map(({ type, room_id }) => [type, room_id])).toEqual([
      ["subscribe", "app:a"],
      ["subscribe", "app:b"],
    ]);
    stage.socket.enter("app:a", 4).say(message("app:a", 5));
    expect(room.position).toEqual({ epoch: "e", offset: 5 });
    stage.socket.lose();
    stage.pass(20_000);
    stage.socket.greet();
    expect(stage.socket.sent[0]).toMatchObject({ since: { epoch: "e", offset: 5 } });
    stage.socket.enter("app:a", 6, true, message("app:a", 6)).say(message("app:a", 6), message("app:a", 7));
    expect(seen.map((event) => event.event === "message" && event.offset)).toEqual([5, 6, 7]);
    expect(entered).toEqual([false, true]);
    expect(stage.sockets).toHaveLength(2);
  });

  it("tell a loss for good as a reset", () => {
    const { stage, client } = begin();
    const seen: RoomEvent[] = [];
    client.subscribe("app:a", { since: { epoch: "e", offset: 1 }, onEvent: (event) => seen.push(event) });
    stage.socket.greet().enter("app:a", 9);
    expect(seen).toMatchObject([{ event: "reset", offset: 9, reason: "not_requested" }]);
  });

  it("end with the server's reason, and twice is an error", () => {
    const { stage, client } = begin();
    const ended = vi.fn();
    client.subscribe("app:a", { onEnded: ended });
    expect(() => client.subscribe("app:a")).toThrow(ClientError);
    stage.socket.greet().enter("app:a", 0);
    stage.socket.say({ type: "unsubscribed", room_id: "app:a", reason: "permission_revoked", message: "Out." });
    expect(ended).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: "permission_revoked" }));
    client.subscribe("app:a").leave();
  });

  it("survive a listener that throws", () => {
    const { stage, client } = begin();
    const seen: number[] = [];
    client.subscribe("app:a", {
      onEvent: (event) => {
        if (event.event === "message") seen.push(event.offset ?? 0);
        throw new Error("the program's own");
      },
    });
    stage.socket.greet().enter("app:a", 0).say(message("app:a", 1), message("app:a", 2));
    expect(seen).toEqual([1, 2]);
    expect(() => stage.pass(0)).toThrow("the program's own");
  });
});

describe("iteration", () => {
  it("leaves a room that its consumer cannot follow, and comes back", async () => {
    const { stage, client } = begin({ maxInbox: 2 });
    const events = client.subscribe("app:a")[Symbol.asyncIterator]();
    stage.socket.greet().enter("app:a", 0);
    for (const offset of [1, 2, 3]) stage.socket.say(message("app:a", offset));
    const left = stage.socket.sent.at(-1);
    expect(left).toMatchObject({ type: "unsubscribe" });
    stage.socket.say({ type: "reply", id: left?.["id"], ok: true });
    await events.next();
    await events.next();
    expect(stage.socket.sent.at(-1)).toMatchObject({ type: "subscribe", since: { offset: 2 } });
    stage.socket.enter("app:a", 3, true, message("app:a", 3));
    expect((await events.next()).value).toMatchObject({ offset: 3 });
    const waiting = events.next();
    stage.socket.lose(4511);
    await expect(waiting).rejects.toMatchObject({ kind: "ended" });
    await expect(events.next()).rejects.toBeInstanceOf(ClientError);
  });

  it("leaves the room when the loop is left", async () => {
    const { stage, client } = begin();
    const room = client.subscribe("app:a");
    const loop = (async () => {
      for await (const event of room) return event;
      return null;
    })();
    stage.socket.greet().enter("app:a", 0).say(message("app:a", 1));
    expect(await loop).toMatchObject({ offset: 1 });
    expect(stage.socket.sent.at(-1)).toMatchObject({ type: "unsubscribe" });
  });
});

describe("requests", () => {
  it("wait offline in a bounded queue, are answered, or are in doubt", async () => {
    const { stage, client } = begin({ maxQueue: 2 });
    const first = client.publish("app:a", 1);
    const second = client.publish("app:a", 2);
    await expect(client.publish("app:a", 3)).rejects.toMatchObject({ kind: "unsent", code: "queue_full" });
    stage.socket.greet();
    const [one] = stage.socket.sent;
    stage.socket.say({ type: "reply", id: one?.["id"], ok: true, data: { room_id: "app:a", reached: 1, offset: 7 } });
    expect(await first).toMatchObject({ offset: 7 });
    stage.socket.lose();
    await expect(second).rejects.toMatchObject({ kind: "unknown", code: "outcome_unknown" });
    const third = client.publish("app:a", "x");
    client.close();
    await expect(third).rejects.toMatchObject({ kind: "ended", code: "client_closed" });
  });
});

describe("the connection", () => {
  it("is not given up because the machine slept, and wakes without a storm", () => {
    const { stage, links } = begin();
    stage.socket.greet();
    stage.sleep(3_600_000);
    expect(stage.sockets).toHaveLength(1);
    expect(stage.socket.sent.at(-1)).toMatchObject({ type: "ping" });
    stage.socket.say({ type: "pong", timestamp: 2 });
    stage.pass(30_000);
    stage.socket.say({ type: "heartbeat", timestamp: 3 });
    expect(states(links)).toEqual(["connecting", "connected"]);
    stage.sleep(3_600_000);
    stage.pass(10_000);
    expect(stage.socket.closed).toMatchObject({ code: 3001 });
    stage.sleep(60_000);
    expect(stage.sockets).toHaveLength(2);
    stage.sleep(60_000);
    stage.sleep(60_000);
    expect(stage.sockets.length).toBeLessThanOrEqual(4);
  });

  it("hears nothing of a socket that it has given up", () => {
    const { stage, links } = begin();
    stage.socket.greet();
    const old = stage.socket;
    old.onmessage?.({ data: new ArrayBuffer(1) });
    expect(old.closed).toMatchObject({ code: 3000 });
    old.lose(4511);
    old.say({ type: "heartbeat", timestamp: 1 });
    expect(states(links)).toEqual(["connecting", "connected", "waiting"]);
  });

  it("waits longer after each failure, and not at all when told so", () => {
    const { stage, client, links } = begin();
    for (let attempt = 0; attempt < 4; attempt++) {
      stage.socket.lose();
      stage.pass(20_000);
    }
    const waits = links.flatMap((link) => (link.state === "waiting" ? [link.retryInMs] : []));
    expect(waits).toEqual([750, 1_250, 2_250, 4_250]);
    stage.socket.lose();
    const count = stage.sockets.length;
    client.retryNow();
    client.retryNow();
    expect(stage.sockets).toHaveLength(count + 1);
  });

  it("fetches a token for each attempt and sends it as a message", async () => {
    const tokens = vi.fn().mockRejectedValueOnce(new Error("away")).mockResolvedValue("t-1");
    const { stage, links } = begin({ fetchToken: tokens });
    await vi.waitFor(() => expect(states(links)).toContain("waiting"));
    stage.pass(20_000);
    await vi.waitFor(() => expect(stage.sockets).toHaveLength(1));
    stage.socket.onopen?.();
    expect(stage.socket.sent).toMatchObject([{ type: "authenticate", token: "t-1" }]);
    expect(stage.urls).toEqual(["ws://hub/ws"]);
  });

  it("ends for an address that cannot be one", () => {
    const stage = new Stage();
    stage.refuseUrl = true;
    const client = new Client("nonsense", { host: stage }).start();
    expect(client.link).toMatchObject({ state: "ended", reason: "handshake_refused" });
    expect(() => client.subscribe("app:a")).toThrow("refused or closed for good");
  });

  it("leaves no timer behind", () => {
    const { stage, client } = begin();
    stage.socket.greet();
    client.close();
    client.close();
    expect(stage.socket.closed).toMatchObject({ code: 1000 });
    expect(stage.timerCount).toBe(0);
  });
});

describe("standard time", () => {
  it("follows whichever clock moved, and never runs backwards", () => {
    vi.useFakeTimers({ toFake: ["Date", "performance"] });
    try {
      const host = standardHost();
      const start = host.now();
      vi.setSystemTime(Date.now() + 60_000);
      expect(host.now() - start).toBe(60_000);
      vi.setSystemTime(Date.now() - 3_600_000);
      expect(host.now() - start).toBe(60_000);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a user who is not the expected one", () => {
  it("ends the client before anything that waited is sent", async () => {
    const { stage, client, links } = begin({ username: "bob" });
    client.subscribe("app:a");
    const edit = client.request({ type: "field_edit", op_id: "t-1" });
    const refused = expect(edit).rejects.toMatchObject({ kind: "ended", code: "other_user" });
    stage.socket.greet();
    await refused;
    expect(stage.socket.sent).toEqual([]);
    expect(stage.socket.closed).toMatchObject({ code: 1000 });
    expect(links.at(-1)).toMatchObject({ state: "ended", reason: "other_user" });
    stage.pass(60_000);
    expect(stage.sockets).toHaveLength(1);
  });

  it("does not concern a client of anybody", () => {
    const { stage, client } = begin({ username: "ada" });
    client.subscribe("app:a");
    stage.socket.greet();
    expect(stage.socket.sent).toHaveLength(1);
  });
});
