/**
 * The activity page's socket: one's own room of the log, with filters, over the Tidewire client. It must not know what
 * the page shows; it reports through the callbacks it is given. Source: docs/protocol.md, "User activity".
 */
import { tellAlertNote } from "./alert-notes";
import { type Client, ClientError, type Fields, type Json, type Link, type Room } from "../client/index";
import { OneClient } from "./one-client";
import type { ActivityRow } from "../state/activity-list";

export type Filters = Readonly<Record<string, string>>;

export interface ActivityCallbacks {
  link(link: Link): void;
  /** The newest rows, for the filters that were asked for last. */
  page(rows: readonly ActivityRow[], cursor: string | null): void;
  rows(rows: readonly ActivityRow[]): void;
  /** The log cannot be read now; rows come again when it can. */
  interrupted(message: string): void;
  /** These filters are refused, or everything is; `final`: for good. */
  refused(error: ClientError, final: boolean): void;
}

export class ActivityChannel {
  private readonly hub: OneClient;
  private readonly room: string;
  private readonly callbacks: ActivityCallbacks;
  private entered: Room | null = null;
  private filters: Filters;
  private question = 0;

  constructor(url: string, userId: string, filters: Filters, callbacks: ActivityCallbacks) {
    this.hub = new OneClient(url, { onNote: tellAlertNote });
    this.room = `admin:user_activity:${userId}`;
    this.filters = filters;
    this.callbacks = callbacks;
  }

  /** Connects and enters the room; begins anew if the connection has ended or the room was taken away. */
  open(): void {
    const enter = (client: Client): void => {
      this.entered = this.enter(client);
    };
    const running = this.hub.open(enter, (link) => {
      if (link.state !== "connected") this.question = 0;
      this.callbacks.link(link);
    });
    if (running !== null && this.entered === null) enter(running);
  }

  /** Leaves without a word to the callbacks, for example because the page goes. */
  close(): void {
    this.entered = null;
    this.hub.close();
  }

  retryNow(): void {
    this.hub.retryNow();
  }

  /** Asks for other rows; a page comes. */
  ask(filters: Filters): void {
    this.filters = filters;
    const { client } = this.hub;
    if (client?.link.state === "connected" && this.entered !== null) void this.send(client);
  }

  private enter(client: Client): Room {
    const current = (): boolean => this.hub.is(client) && this.entered === room;
    const room: Room = client.subscribe(this.room, {
      onEntered: () => {
        // Once per connection; a question enters the room by itself, too.
        if (current() && this.question === 0) void this.send(client);
      },
      onEvent: (event) => {
        if (current() && event.event === "message" && event.kind === "user_activity") this.read(event.fields);
      },
      onEnded: (error) => {
        if (!current()) return;
        this.entered = null;
        this.question = 0;
        if (error !== null && error.kind === "refused") this.callbacks.refused(error, true);
      },
    });
    this.question = 0;
    return room;
  }

  private async send(client: Client): Promise<void> {
    const mine = ++this.question;
    try {
      await client.request({ type: "start_user_activity", filters: this.filters as Json });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // A lost connection asks again when it is back, by entering again.
      if (this.hub.is(client) && mine === this.question && error.kind === "refused")
        this.callbacks.refused(error, false);
    }
  }

  private read(fields: Fields): void {
    const rows = fields["rows"] as unknown as readonly ActivityRow[];
    const cursor = fields["cursor"];
    if (fields["event"] === "page") this.callbacks.page(rows, typeof cursor === "string" ? cursor : null);
    else if (fields["event"] === "rows") this.callbacks.rows(rows);
    else if (fields["event"] === "interrupted") this.callbacks.interrupted(messageOf(fields["error"]));
  }
}

function messageOf(error: Json | undefined): string {
  const said = typeof error === "object" && error !== null && !Array.isArray(error) ? error["message"] : null;
  return typeof said === "string" ? said : "";
}
