/**
 * A page's socket to its own room of figures: enters, says what it wants to watch, and hands on what comes. It must not
 * know what is shown. Source: docs/protocol.md, "Watching the nodes".
 */
import { tellAlertNote } from "./alert-notes";
import { BATCH, Client, type ClientError, type Fields, type Link } from "../client/index";

export interface VitalsCallbacks {
  link(link: Link): void;
  /** `timestamp`: server time, Unix seconds. */
  message(fields: Fields, timestamp: number): void;
  /** There will be nothing, or nothing more. */
  refused(error: ClientError): void;
}

export class VitalsChannel {
  private readonly url: string;
  private readonly roomId: string;
  private readonly wish: Fields;
  private readonly callbacks: VitalsCallbacks;
  private client: Client | null = null;

  /** `wish`: the message that begins it. */
  constructor(url: string, roomId: string, wish: Fields, callbacks: VitalsCallbacks) {
    this.url = url;
    this.roomId = roomId;
    this.wish = wish;
    this.callbacks = callbacks;
  }

  /** Connects, or begins anew if the connection has ended or the room was taken away. */
  open(): void {
    if (this.client !== null && this.client.link.state !== "ended") return;
    const client = new Client(this.url, {
      subprotocols: [BATCH],
      onNote: tellAlertNote,
      onLink: (link) => {
        if (client === this.client) this.callbacks.link(link);
      },
    });
    this.client = client;
    const refused = (error: ClientError | null): void => {
      if (client !== this.client || error === null || error.kind !== "refused") return;
      this.close();
      this.callbacks.refused(error);
    };
    client.subscribe(this.roomId, {
      // What a connection watches ends with it, so each new one says it again.
      onEntered: () => void client.request(this.wish).catch(refused),
      onEvent: (event) => {
        if (client === this.client && event.event === "message") this.callbacks.message(event.fields, event.timestamp);
      },
      onEnded: refused,
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
