/**
 * A page's connection to the hub: one client at a time, and another once that has ended. What an earlier one says later
 * is not heard. It must not know rooms or what is shown.
 */
import { BATCH, Client, type ClientOptions, type Link } from "../client/index";

export class OneClient {
  private readonly url: string;
  private readonly options: ClientOptions;
  private current: Client | null = null;

  constructor(url: string, options: ClientOptions = {}) {
    this.url = url;
    this.options = options;
  }

  /** Null before the first and after `close`. */
  get client(): Client | null {
    return this.current;
  }

  /** The client if it has not ended. */
  get running(): Client | null {
    return this.current?.link.state === "ended" ? null : this.current;
  }

  /** Whether this is the client that counts. */
  is(client: Client): boolean {
    return client === this.current;
  }

  /** Connects unless a client runs already, which it returns; `begin` gets a new one before it starts. */
  open(begin?: (client: Client) => void, onLink?: (link: Link, client: Client) => void): Client | null {
    const { running } = this;
    if (running !== null) return running;
    const client = new Client(this.url, {
      subprotocols: [BATCH],
      ...this.options,
      onLink: (link) => {
        if (this.is(client)) onLink?.(link, client);
      },
      onNote: (kind, fields) => {
        if (this.is(client)) this.options.onNote?.(kind, fields);
      },
    });
    this.current = client;
    begin?.(client);
    client.start();
    return null;
  }

  /** Ends it without a word to anybody, for example because the page goes. */
  close(): void {
    const client = this.current;
    this.current = null;
    client?.close();
  }

  retryNow(): void {
    this.current?.retryNow();
  }
}
