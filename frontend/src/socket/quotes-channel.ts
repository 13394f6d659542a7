/**
 * The list's socket: is told that some quote has changed, and nothing more. It must not know what the page shows; it
 * reports through the callbacks it is given. Source: docs/protocol.md, `quotes_changed`.
 */
import type { Client } from "../client/index";
import { OneClient } from "./one-client";

export interface ListCallbacks {
  /** The list may have changed; also after a time without news. */
  changed(): void;
  /** Whether changes are told now. */
  told(told: boolean): void;
}

export class QuotesChannel {
  private readonly hub: OneClient;
  private readonly callbacks: ListCallbacks;

  constructor(url: string, callbacks: ListCallbacks) {
    this.hub = new OneClient(url);
    this.callbacks = callbacks;
  }

  /** Connects, or begins anew if the connection has ended or the room was taken away. */
  open(): void {
    this.hub.open(
      (client) => this.enter(client),
      (link) => {
        if (link.state !== "connected") this.callbacks.told(false);
        if (link.state === "ended") this.callbacks.changed();
      },
    );
  }

  /** Leaves without a word to the callbacks. */
  close(): void {
    this.hub.close();
  }

  retryNow(): void {
    this.hub.retryNow();
  }

  private enter(client: Client): void {
    client.subscribe("quotes:list", {
      onEntered: () => {
        if (!this.hub.is(client)) return;
        this.callbacks.told(true);
        // What was changed before the room was entered has not been told.
        this.callbacks.changed();
      },
      onEvent: () => {
        if (this.hub.is(client)) this.callbacks.changed();
      },
      onEnded: (error) => {
        if (!this.hub.is(client) || error === null) return;
        this.close();
        this.callbacks.told(false);
        this.callbacks.changed();
      },
    });
  }
}
