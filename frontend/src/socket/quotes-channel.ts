/**
 * The list's socket: is told that some quote has changed, and nothing more. It must not know what the page shows; it
 * reports through the callbacks it is given. Source: docs/protocol.md, `quotes_changed`.
 */
import { BATCH, Client } from "../client/index";

export interface ListCallbacks {
  /** The list may have changed; also after a time without news. */
  changed(): void;
  /** Whether changes are told now. */
  told(told: boolean): void;
}

export class QuotesChannel {
  private readonly url: string;
  private readonly callbacks: ListCallbacks;
  private client: Client | null = null;

  constructor(url: string, callbacks: ListCallbacks) {
    this.url = url;
    this.callbacks = callbacks;
  }

  /** Connects, or begins anew if the connection has ended or the room was taken away. */
  open(): void {
    if (this.client !== null) return;
    const client = new Client(this.url, {
      subprotocols: [BATCH],
      onLink: (link) => {
        if (client !== this.client) return;
        if (link.state !== "connected") this.callbacks.told(false);
        if (link.state !== "ended") return;
        this.client = null;
        this.callbacks.changed();
      },
    });
    this.client = client;
    client.subscribe("quotes:list", {
      onEntered: () => {
        if (client !== this.client) return;
        this.callbacks.told(true);
        // What was changed before the room was entered has not been told.
        this.callbacks.changed();
      },
      onEvent: () => {
        if (client === this.client) this.callbacks.changed();
      },
      onEnded: (error) => {
        if (client !== this.client || error === null) return;
        this.close();
        this.callbacks.told(false);
        this.callbacks.changed();
      },
    });
    client.start();
  }

  /** Leaves without a word to the callbacks. */
  close(): void {
    const client = this.client;
    this.client = null;
    client?.close();
  }

  retryNow(): void {
    this.client?.retryNow();
  }
}
