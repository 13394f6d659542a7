/**
 * The page's one socket to the hub: the room of one dashboard with its filter, over the Tidewire client. It must not know
 * what the page shows; it reports what happened through the callbacks it is given.
 * Source: docs/protocol.md, `start_analytics`.
 */
import { tellAlertNote } from "./alert-notes";
import { type Client, ClientError, type Json, type Link, type Room } from "../client/index";
import { OneClient } from "./one-client";
import { type Fields, filtersOf, type Place, roomOf, type View } from "../state/analytics";

export interface AnalyticsCallbacks {
  link(link: Link): void;
  update(view: View, fields: Fields, place: Place | null): void;
  happened(fields: Fields): void;
  /** The server counts this view; `reply` says what filters may be. */
  started(view: View, reply: Json): void;
  /** The view is closed to us, for the server's reason. */
  refused(view: View, error: ClientError): void;
}

/** A view that could not be counted for now is asked for again after this. */
const AGAIN_MS = 3_000;

export class AnalyticsChannel {
  private readonly hub: OneClient;
  private readonly callbacks: AnalyticsCallbacks;
  private room: Room | null = null;
  private view: View;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, view: View, callbacks: AnalyticsCallbacks) {
    this.hub = new OneClient(url, { onNote: tellAlertNote });
    this.view = view;
    this.callbacks = callbacks;
  }

  /** Connects and watches; begins anew if the connection has ended or the view was taken away. */
  open(): void {
    const running = this.hub.open(
      (client) => this.enter(client),
      (link) => this.callbacks.link(link),
    );
    if (running !== null && this.room === null) this.enter(running);
  }

  /** Watches another view from now on. */
  watch(view: View): void {
    if (roomOf(view) === roomOf(this.view) && this.room !== null) return;
    const before = this.room;
    this.room = null;
    this.view = view;
    clearTimeout(this.timer);
    before?.leave();
    this.open();
  }

  /** Leaves without a word to the callbacks, for example because the page goes. */
  close(): void {
    clearTimeout(this.timer);
    this.room = null;
    this.hub.close();
  }

  retryNow(): void {
    this.hub.retryNow();
  }

  private enter(client: Client): void {
    const { view } = this;
    // A room that was left and taken up again has a successor here; what its old self says no longer counts.
    const current = (): boolean => this.hub.is(client) && this.room === room;
    const room: Room = client.subscribe(roomOf(view), {
      // Also where nothing was missed: what is shown begins with a snapshot.
      onEntered: () => {
        if (current()) void this.start(client, view, current);
      },
      onEvent: (event) => {
        if (!current() || event.event !== "message") return;
        const { epoch, offset } = event;
        const place = epoch === null || offset === null ? null : { epoch, offset };
        if (event.kind === "analytics_update") this.callbacks.update(view, event.fields, place);
        else if (event.kind === "analytics_event") this.callbacks.happened(event.fields);
      },
      onEnded: (error) => {
        if (!current()) return;
        this.room = null;
        // Why there are no figures stands in the answer to the question for them.
        if (error?.code === "state_unavailable") this.again();
        // Without an error it was us; an ended connection is told as a whole.
        else if (error !== null && error.kind === "refused") this.callbacks.refused(view, error);
      },
    });
    this.room = room;
  }

  private async start(client: Client, view: View, current: () => boolean): Promise<void> {
    const message = { type: "start_analytics", dashboard: view.dashboard, filters: filtersOf(view) };
    try {
      const reply = await client.request(message);
      if (current()) this.callbacks.started(view, reply);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // A lost connection asks again when it is back, by entering again.
      if (!this.hub.is(client) || view !== this.view || error.kind !== "refused") return;
      this.callbacks.refused(view, error);
      if (error.temporary) this.again();
    }
  }

  private again(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), AGAIN_MS);
  }
}
