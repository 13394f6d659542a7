/**
 * A client to try rooms with: connect, subscribe, publish, and every frame as it goes over the wire. It is the product's own
 * client, over a socket that tells what passes.
 */
import { Client, ClientError, type Json, type Link, type SocketLike } from "../client/index";
import { hubUrl } from "../socket/market-channel";
import type { Direction, FrameLine } from "../state/trace-log";
import { element, find, part, setHidden, setText } from "./dom";
import { startFrame } from "./frame";
import { FrameList } from "./frame-list";
import { LinkPill } from "./link-pill";
import { Loop } from "./loop";
import { problemWords, refusedBy } from "./problem-words";
import { count, t } from "./text";

const bytesOf = new TextEncoder();
/** As in a trace of the server: a longer frame is cut. */
const TEXT_MAX_CHARS = 16_384;

export class TestClientPage {
  private readonly loop = new Loop();
  private readonly pill = new LinkPill();
  private readonly room = find<HTMLInputElement>(document, "#client-room");
  private readonly data = find<HTMLTextAreaElement>(document, "#client-data");
  private readonly rooms = new Map<string, HTMLElement>();
  private readonly frames: FrameList = new FrameList(
    part(document, "trace"),
    () => this.loop.mark(),
    () => this.frames.download("test-client", null, null),
  );
  private client: Client | null = null;
  private link: Link | null = null;
  private downSince: number | null = null;

  start(): void {
    startFrame({
      items: () => [{ kind: t("palette.kind.action"), name: t("client.connect"), run: () => this.toggle() }],
    });
    part(document, "connect").addEventListener("click", () => this.toggle());
    part(document, "room-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter(this.room.value.trim());
    });
    part(document, "publish-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.publish(this.room.value.trim());
    });
    window.addEventListener("pagehide", () => this.client?.close());
    this.loop.add(() => this.draw());
    this.loop.start();
    this.loop.mark();
  }

  // ---- the client ----

  private toggle(): void {
    if (this.client !== null && this.link?.state !== "ended") {
      this.client.close();
      return;
    }
    this.frames.clear();
    const client = new Client(hubUrl(location), {
      onLink: (link) => this.linked(link),
      openSocket: (url, protocols) =>
        listenTo(new WebSocket(url, [...protocols]) as SocketLike, (way, text) => this.passed(way, text)),
    });
    this.client = client;
    client.start();
  }

  private linked(link: Link): void {
    this.link = link;
    this.downSince = link.state === "connected" ? null : (this.downSince ?? Date.now());
    this.loop.mark();
  }

  private passed(direction: Direction, text: string): void {
    const line: FrameLine = {
      type: "frame",
      at: Date.now() / 1000,
      direction,
      bytes: bytesOf.encode(text).length,
      text: text.slice(0, TEXT_MAX_CHARS),
      cut: text.length > TEXT_MAX_CHARS,
      redacted: false,
      connection_id: "",
    };
    this.frames.take([line]);
  }

  private enter(room: string): void {
    if (this.client === null || room === "") return;
    try {
      const entered = this.client.subscribe(room, {
        onEnded: (error) => {
          this.rooms.get(room)?.remove();
          this.rooms.delete(room);
          if (error !== null) this.say(problemWords(refusedBy(error)));
        },
      });
      const leave = element("button", { type: "button", class: "btn btn-sm btn-quiet" }, t("client.leave", { room }));
      leave.addEventListener("click", () => entered.leave());
      const item = element("li", {}, leave);
      this.rooms.set(room, item);
      part(document, "entered").append(item);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.say(error.message);
    }
  }

  private async publish(room: string): Promise<void> {
    if (this.client === null || room === "") return;
    let data: Json;
    try {
      data = JSON.parse(this.data.value) as Json;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.say(t("client.no_json", { problem: error.message }));
      return;
    }
    try {
      const done = await this.client.publish(room, data);
      this.say(t("client.published", { room, offset: count(done.offset ?? null), reached: count(done.reached) }));
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.say(problemWords(refusedBy(error)));
    }
  }

  // ---- drawing ----

  private say(text: string): void {
    setText(part(document, "client-said"), text);
  }

  private draw(): void {
    const { link } = this;
    const state = link?.state ?? "ended";
    const on = link !== null && state !== "ended";
    setText(part(document, "connect-word"), t(on ? "client.disconnect" : "client.connect"));
    setText(part(document, "client-state"), wordsOf(link));
    for (const name of ["subscribe", "publish"]) part<HTMLButtonElement>(document, name).disabled = !on;
    // Until it has been asked to connect, the page has no connection to tell of.
    setHidden(part(document, "live"), !on);
    if (on) this.drawPill(link);
    this.frames.draw();
  }

  private drawPill(link: Link): void {
    const kind = link.state === "connected" ? "live" : link.state === "waiting" ? "waiting" : "connecting";
    const retryAt = link.state === "waiting" ? Date.now() + link.retryInMs : null;
    this.pill.draw({ kind, downSince: this.downSince, retryAt, offline: !navigator.onLine }, "ok");
  }
}

function wordsOf(link: Link | null): string {
  if (link === null) return t("client.state.off");
  if (link.state === "connected") return t("client.state.connected");
  if (link.state === "ended") return t("client.state.ended", { reason: link.reason ?? String(link.code ?? "") });
  return t(link.state === "waiting" ? "client.state.waiting" : "client.state.connecting");
}

/** A socket that tells every frame that passes; seen from the server: `in` is what the client sends. */
function listenTo(socket: SocketLike, tell: (direction: Direction, text: string) => void): SocketLike {
  return {
    get protocol() {
      return socket.protocol;
    },
    set onopen(run: (() => void) | null) {
      socket.onopen = run;
    },
    set onmessage(run: ((event: { data: unknown }) => void) | null) {
      socket.onmessage = (event) => {
        if (typeof event.data === "string") tell("out", event.data);
        run?.(event);
      };
    },
    set onclose(run: ((event: { code: number; reason: string }) => void) | null) {
      socket.onclose = (event) => {
        tell("control", `close ${event.code} ${event.reason}`.trim());
        run?.(event);
      };
    },
    set onerror(run: (() => void) | null) {
      socket.onerror = run;
    },
    send(text: string) {
      tell("in", text);
      socket.send(text);
    },
    close(code: number, reason: string) {
      socket.close(code, reason);
    },
  } as SocketLike;
}
