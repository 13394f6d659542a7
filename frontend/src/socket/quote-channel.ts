/**
 * The page's one socket to the hub: one quote's room, over the Tidewire client. It must not know what the page shows; it
 * reports what happened through the callbacks it is given. Source: docs/quotes.md, "Following a quote over the socket".
 */
import { type Client, ClientError, type Json, type Link, type Member, type Room } from "../client/index";
import { OneClient } from "./one-client";
import { ApiError, loginStands } from "./quotes-api";
import type { Edit } from "../state/quote-edits";
import { type QuoteMessage, readMessage } from "../state/quote-wire";

/** Closed for want of a login: unauthorized, account_disabled, logged_out. A later login in this browser helps. */
const OF_LOGIN: ReadonlySet<number> = new Set([4500, 4511, 4512]);

function isRenewable(code: number | null): boolean {
  return code !== null && code >= 4200 && code < 4300;
}

function isOfLogin(code: number | null): boolean {
  return isRenewable(code) || (code !== null && OF_LOGIN.has(code));
}

/** How many of the room's members are told, and who; `complete` is false if the list is only a part of them. */
export interface Present {
  readonly members: readonly Member[];
  readonly count: number;
}

export interface QuoteCallbacks {
  link(link: Link): void;
  message(message: QuoteMessage): void;
  present(present: Present): void;
  /** The room is open: edits may be sent. */
  entered(): void;
  /** The room is closed to us, for the server's reason. */
  refused(error: ClientError): void;
}

/** A quote that could not be read for now is asked for again after this. */
const AGAIN_MS = 2_000;
/** A server that takes a login and drops it again at once is not asked faster than this. */
const RECOVER_EVERY_MS = 5_000;

export class QuoteChannel {
  private readonly hub: OneClient;
  private readonly quoteId: string;
  private readonly callbacks: QuoteCallbacks;
  private room: Room | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  private recoveredAt = Number.NEGATIVE_INFINITY;

  constructor(url: string, quoteId: string, username: string, callbacks: QuoteCallbacks) {
    this.hub = new OneClient(url, { username });
    this.quoteId = quoteId;
    this.callbacks = callbacks;
  }

  /** Connects and enters the room; begins anew if the connection has ended or the room was taken away. */
  open(): void {
    const running = this.hub.open(
      (client) => this.enter(client),
      (link, client) => this.follow(client, link),
    );
    if (running !== null && this.room === null) this.enter(running);
  }

  /** Leaves without a word to the callbacks, for example because the page goes. */
  close(): void {
    clearTimeout(this.timer);
    this.room = null;
    this.hub.close();
  }

  /** Does not wait any longer: the network is back, or the person has come back, perhaps from logging in elsewhere. */
  retryNow(): void {
    const { client } = this.hub;
    if (client?.link.state !== "ended") client?.retryNow();
    else if (isOfLogin(client.link.code)) void this.recover(client);
  }

  /** Asks for the whole state; it comes as a message. Resolves to the error if it does not. */
  async reload(): Promise<ClientError | null> {
    return this.ask({ type: "quote_subscribe", quote_id: this.quoteId });
  }

  /** Sends an edit; resolves with the reply's data, rejects with a ClientError. */
  edit(edit: Edit): Promise<Json> {
    const { client } = this.hub;
    if (client === null) return new Promise(() => {});
    const { field, value, base, opId } = edit;
    const message = { type: "field_edit", quote_id: this.quoteId, field, value, base_revision: base, op_id: opId };
    return client.request(message);
  }

  /** Says which field has the focus; nothing depends on its arrival. */
  focus(field: string | null, typing: boolean): void {
    if (this.hub.client?.link.state !== "connected" || this.room === null) return;
    void this.ask({ type: "field_focus", quote_id: this.quoteId, field, typing });
  }

  private follow(client: Client, link: Link): void {
    // 4200 to 4299 end a connection whose login ended, not the browser's: there may be a newer one by now.
    if (link.state !== "ended" || !isRenewable(link.code)) {
      this.callbacks.link(link);
      return;
    }
    const retryInMs = Math.max(0, this.recoveredAt + RECOVER_EVERY_MS - performance.now());
    this.callbacks.link({ state: "waiting", retryInMs, code: link.code, reason: link.reason });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.recover(client), retryInMs);
  }

  /** Connects anew if the browser has a login that can; otherwise the connection has ended for good. */
  private async recover(client: Client): Promise<void> {
    if (this.asking || !this.hub.is(client) || client.link.state !== "ended") return;
    this.asking = true;
    const stands = await this.stands();
    this.asking = false;
    if (!this.hub.is(client)) return;
    this.recoveredAt = performance.now();
    if (stands === true) this.open();
    else if (stands === false) this.callbacks.link(client.link);
    else this.follow(client, client.link);
  }

  /** Null if nobody can say now. */
  private async stands(): Promise<boolean | null> {
    try {
      return await loginStands();
    } catch (error) {
      if (error instanceof ApiError) return null;
      throw error;
    }
  }

  private async ask(message: { readonly [name: string]: Json }): Promise<ClientError | null> {
    try {
      await this.hub.client?.request(message);
      return null;
    } catch (error) {
      if (error instanceof ClientError) return error;
      throw error;
    }
  }

  private enter(client: Client): void {
    const current = (): boolean => this.hub.is(client) && this.room === room;
    const room: Room = client.subscribe(`quote:${this.quoteId}`, {
      presence: true,
      onEntered: (recovered) => {
        if (!current()) return;
        // What came before is whole only if the room could be taken up where it was left.
        if (!recovered) void this.load(client);
        this.callbacks.entered();
      },
      onEvent: (event) => {
        if (!current()) return;
        if (event.event === "presence") {
          this.callbacks.present({ members: [...room.members.values()], count: room.count });
        } else if (event.event === "message") {
          const message = readMessage(event.kind, event.fields);
          if (message !== null) this.callbacks.message(message);
        }
      },
      onEnded: (error) => {
        if (!current()) return;
        this.room = null;
        // The server could not read the quote; why, and whether for good, stands in the answer to the question for it.
        if (error?.code === "state_unavailable") this.again(client);
        // Without an error it was us; an ended connection is told as a whole.
        else if (error !== null && error.kind === "refused") this.callbacks.refused(error);
      },
    });
    this.room = room;
  }

  private async load(client: Client): Promise<void> {
    const error = await this.reload();
    // A lost connection asks again when it is back, by entering again.
    if (error?.kind !== "refused" || error.temporary || !this.hub.is(client)) return;
    clearTimeout(this.timer);
    this.callbacks.refused(error);
  }

  private again(client: Client): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.hub.is(client)) this.open();
    }, AGAIN_MS);
  }
}
