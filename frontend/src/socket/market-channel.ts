/**
 * The page's one socket to the hub: a market room per symbol, over the Tidewire client. It must not know what the page
 * shows; it reports what happened through the callbacks it is given.
 */
import type { Client, Link, Reset, Room } from "../client/index";
import { OneClient } from "./one-client";
import { ROOM_PREFIX, readTick } from "../state/market-tick";
import type { Quote, Refusal } from "../state/watch-list";

export interface MarketCallbacks {
  link(link: Link): void;
  entered(symbol: string): void;
  tick(symbol: string, tick: Quote): void;
  lost(symbol: string, reset: Reset): void;
  refused(symbol: string, refusal: Refusal): void;
}

/** The hub of this page's own origin. */
export function hubUrl(place: { readonly protocol: string; readonly host: string }): string {
  return `${place.protocol === "https:" ? "wss:" : "ws:"}//${place.host}/ws`;
}

export class MarketChannel {
  private readonly hub: OneClient;
  private readonly callbacks: MarketCallbacks;
  private readonly rooms = new Map<string, Room>();
  private readonly wanted = new Set<string>();

  constructor(url: string, callbacks: MarketCallbacks) {
    this.hub = new OneClient(url);
    this.callbacks = callbacks;
  }

  /** Connects and enters the room of every symbol; begins anew if the connection has ended. */
  open(): void {
    this.hub.open(
      (client) => {
        this.rooms.clear();
        for (const symbol of this.wanted) this.enter(client, symbol);
      },
      (link) => this.callbacks.link(link),
    );
  }

  /** Leaves without a word to the callbacks, for example because the page goes. */
  close(): void {
    this.rooms.clear();
    this.hub.close();
  }

  retryNow(): void {
    this.hub.retryNow();
  }

  watch(symbol: string): void {
    this.wanted.add(symbol);
    const { running } = this.hub;
    if (running !== null) this.enter(running, symbol);
  }

  unwatch(symbol: string): void {
    this.wanted.delete(symbol);
    const room = this.rooms.get(symbol);
    this.rooms.delete(symbol);
    room?.leave();
  }

  private enter(client: Client, symbol: string): void {
    if (this.rooms.has(symbol)) return;
    // A room that was left and taken up again has a successor here; what its old self says no longer counts.
    const current = (): boolean => this.hub.is(client) && this.rooms.get(symbol) === room;
    const room: Room = client.subscribe(ROOM_PREFIX + symbol, {
      onEntered: () => {
        if (current()) this.callbacks.entered(symbol);
      },
      onEvent: (event) => {
        if (!current()) return;
        if (event.event === "reset") this.callbacks.lost(symbol, event);
        else if (event.event === "message") {
          const tick = readTick(event);
          if (tick !== null) this.callbacks.tick(symbol, tick);
        }
      },
      onEnded: (error) => {
        if (!current()) return;
        this.rooms.delete(symbol);
        // Without an error it was us; an ended connection is told as a whole.
        if (error !== null && error.kind === "refused") {
          this.callbacks.refused(symbol, { code: error.code, message: error.message });
        }
      },
    });
    this.rooms.set(symbol, room);
  }
}
