/**
 * A page's socket to its own room of figures: enters, says what it wants to watch, and hands on what comes. It must not
 * know what is shown. Source: docs/protocol.md, "Watching the nodes".
 */
import { tellAlertNote } from "./alert-notes";
import type { Client, ClientError, Fields, Link } from "../client/index";
import { OneClient } from "./one-client";

export interface VitalsCallbacks {
  link(link: Link): void;
  /** `timestamp`: server time, Unix seconds. */
  message(fields: Fields, timestamp: number): void;
  /** There will be nothing, or nothing more. */
  refused(error: ClientError): void;
}

export class VitalsChannel {
  private readonly hub: OneClient;
  private readonly roomId: string;
  private readonly wish: Fields;
  private readonly callbacks: VitalsCallbacks;

  /** `wish`: the message that begins it. */
  constructor(url: string, roomId: string, wish: Fields, callbacks: VitalsCallbacks) {
    this.hub = new OneClient(url, { onNote: tellAlertNote });
    this.roomId = roomId;
    this.wish = wish;
    this.callbacks = callbacks;
  }

  /** Connects, or begins anew if the connection has ended or the room was taken away. */
  open(): void {
    this.hub.open(
      (client) => this.enter(client),
      (link) => this.callbacks.link(link),
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
    const refused = (error: ClientError | null): void => {
      if (!this.hub.is(client) || error === null || error.kind !== "refused") return;
      this.close();
      this.callbacks.refused(error);
    };
    client.subscribe(this.roomId, {
      // What a connection watches ends with it, so each new one says it again.
      onEntered: () => void client.request(this.wish).catch(refused),
      onEvent: (event) => {
        if (this.hub.is(client) && event.event === "message") this.callbacks.message(event.fields, event.timestamp);
      },
      onEnded: refused,
    });
  }
}
