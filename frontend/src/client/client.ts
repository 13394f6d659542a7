/**
 * What a program uses: a client with one connection, rooms to listen to, requests to await.
 * It must not know frames or sockets; it hands wishes to the session and events to whoever listens.
 */
import { Carrier } from "./carrier.ts";
import type { Action, Failure, Fields, Json, Link, Member, RoomEvent, Since } from "./event.ts";
import { type ClientError, ended, errorOf, local } from "./failure.ts";
import { type Host, type SocketLike, standardHost } from "./host.ts";
import { Inbox } from "./inbox.ts";
import { Session } from "./session.ts";
import { BATCH, PLAIN } from "./state.ts";

export interface ClientOptions {
  /** Makes a token for each connection and for each extension; sent as a message, never in the URL. Without it the
   * session cookie counts. Throw a ClientError that is not temporary if there will never be one. */
  readonly fetchToken?: () => Promise<string>;
  /** Called whenever the connection's state changes. */
  readonly onLink?: (link: Link) => void;
  /** Called with messages that belong to no room. */
  readonly onNote?: (kind: string, fields: Fields) => void;
  /** Whose connection it must be. For pages: another tab may change the cookie, and what waits must not be sent as
   * somebody else. A connection of another user ends with `other_user` before anything is sent or entered. */
  readonly username?: string;
  readonly subprotocols?: readonly string[];
  /** Requests that may wait while there is no connection; one more fails with `queue_full`. */
  readonly maxQueue?: number;
  /** Events that an iteration over a room may hold before it leaves, to come back with `since` when it has caught up. */
  readonly maxInbox?: number;
  /** Another WebSocket than the standard one, e.g. with headers. */
  readonly openSocket?: (url: string, protocols: readonly string[]) => SocketLike;
  readonly host?: Host;
}

export interface RoomOptions {
  /** The last message you have from before; what came after it is delivered first. */
  readonly since?: Since;
  /** Also deliver who is inside. */
  readonly presence?: boolean;
  readonly onEvent?: (event: RoomEvent) => void;
  /** The server let us in (again); `recovered` false after the first time means that something was missed. */
  readonly onEntered?: (recovered: boolean) => void;
  /** Nothing more will come; without an error because the program left. */
  readonly onEnded?: (error: ClientError | null) => void;
}

export interface PublishOptions {
  readonly volatile?: boolean;
  /** Your own name for it, never used for another one. With it, a connection that ends before the answer is no error:
   * the client sends it again on the next one, and the server publishes it once. */
  readonly opId?: string;
}

/** What became of a publish; a volatile one has no place. */
export interface Published {
  readonly room_id: string;
  /** Connections that are in the room, on all nodes. */
  readonly reached: number;
  /** Nodes that may have more; absent if there are none. */
  readonly not_counted?: readonly string[];
  readonly epoch?: string;
  readonly offset?: number;
}

/** One room, made by `Client.subscribe`. Each message comes at most once; a loss for good comes as a `reset`. */
export class Room implements AsyncIterable<RoomEvent> {
  readonly roomId: string;
  private readonly carrier: Carrier;
  private readonly maxInbox: number;
  private readonly options: RoomOptions;
  private inbox: Inbox | null = null;

  constructor(roomId: string, carrier: Carrier, options: RoomOptions, maxInbox: number) {
    this.roomId = roomId;
    this.carrier = carrier;
    this.options = options;
    this.maxInbox = maxInbox;
  }

  /** The last message that has been received; what to give as `since` another time. */
  get position(): Since | null {
    return this.carrier.session.rooms.get(this.roomId)?.since ?? null;
  }

  /** Who is inside, by user id, as far as the server lists them. Only with `presence`. */
  get members(): ReadonlyMap<number, Member> {
    return this.carrier.session.rooms.get(this.roomId)?.members ?? new Map();
  }

  /** How many users are inside. Only with `presence`. */
  get count(): number {
    return this.carrier.session.rooms.get(this.roomId)?.count ?? 0;
  }

  leave(): void {
    this.carrier.act(this.carrier.session.unsubscribe(this.roomId, this.carrier.now()));
  }

  /** Iterates over the events from here on, for one consumer; leaving the loop leaves the room. */
  [Symbol.asyncIterator](): AsyncIterator<RoomEvent> {
    if (this.inbox !== null) throw new Error(`The room ${this.roomId} has a consumer already.`);
    const { carrier, roomId } = this;
    this.inbox = new Inbox(this.maxInbox, {
      full: () => carrier.act(carrier.session.pause(roomId, carrier.now())),
      ready: () => carrier.act(carrier.session.resume(roomId, carrier.now())),
      done: () => this.leave(),
    });
    return this.inbox;
  }

  /** Called by the client. */
  deliver(event: RoomEvent): void {
    this.inbox?.put(event);
    this.options.onEvent?.(event);
  }

  /** Called by the client. */
  enter(recovered: boolean): void {
    this.options.onEntered?.(recovered);
  }

  /** Called by the client. */
  end(error: ClientError | null): void {
    this.inbox?.end(error);
    this.options.onEnded?.(error);
  }
}

interface Waiting {
  resolve(data: Json): void;
  reject(error: ClientError): void;
}

/** A connection to a hub that is kept up. */
export class Client {
  private readonly carrier: Carrier;
  private readonly options: ClientOptions;
  private readonly rooms = new Map<string, Room>();
  private readonly answers = new Map<number, Waiting>();
  private lastOp = 0;
  private current: Link = { state: "waiting", retryInMs: 0, code: null, reason: null };

  /** `url`: `ws://` or `wss://` address of the hub. Nothing happens before `start`. */
  constructor(url: string, options: ClientOptions = {}) {
    const host = options.host ?? standardHost();
    const { fetchToken = null, username = null, maxQueue = 100, openSocket, subprotocols = [BATCH, PLAIN] } = options;
    this.options = options;
    const session = new Session({ draw: host.random, withToken: fetchToken !== null, maxQueue, username });
    this.carrier = new Carrier(session, {
      url,
      subprotocols,
      fetchToken,
      host: openSocket === undefined ? host : { ...host, open: openSocket },
      tell: (action) => this.hear(action),
    });
  }

  get link(): Link {
    return this.current;
  }

  /** Begins to connect. */
  start(): this {
    this.carrier.act(this.carrier.session.start(this.carrier.now()));
    return this;
  }

  /** Leaves every room, fails what waits, closes the socket. */
  close(): void {
    this.carrier.act(this.carrier.session.stop(this.carrier.now()));
  }

  /** Does not wait for the next attempt, e.g. because the network is back. */
  retryNow(): void {
    this.carrier.act(this.carrier.session.nudge(this.carrier.now()));
  }

  /** Enters a room and stays in it across reconnects. Throws a ClientError if this client is in it already or has ended. */
  subscribe(roomId: string, options: RoomOptions = {}): Room {
    if (this.rooms.has(roomId)) throw errorOf(local("already_subscribed"));
    if (this.current.state === "ended") throw ended(this.current.reason);
    const room = new Room(roomId, this.carrier, options, this.options.maxInbox ?? 1_024);
    this.rooms.set(roomId, room);
    const { since = null, presence = false } = options;
    this.carrier.act(this.carrier.session.subscribe(roomId, since, presence, this.carrier.now()));
    return room;
  }

  /**
   * Sends `data` to a room; waits for the connection if there is none. Rejects with a ClientError: `kind` says whether
   * the server refused it, it never left (safe to repeat), or its outcome is unknown.
   */
  async publish(roomId: string, data: Json, options: PublishOptions = {}): Promise<Published> {
    const { volatile = false, opId } = options;
    const more = { ...(volatile ? { volatile } : {}), ...(opId === undefined ? {} : { op_id: opId }) };
    const message = { type: "publish", room_id: roomId, data, ...more };
    return (await this.request(message)) as unknown as Published;
  }

  /** Sends a client message of any type; resolves with the `data` of its reply; `op_id` and errors as `publish`. */
  request(message: Fields): Promise<Json> {
    const op = ++this.lastOp;
    return new Promise((resolve, reject) => {
      this.answers.set(op, { resolve, reject });
      this.carrier.act(this.carrier.session.request(op, message, this.carrier.now()));
    });
  }

  private hear(action: Action): void {
    if (action.do === "deliver") this.rooms.get(action.event.roomId)?.deliver(action.event);
    else if (action.do === "room_entered") this.rooms.get(action.roomId)?.enter(action.recovered);
    else if (action.do === "room_ended") {
      const room = this.rooms.get(action.roomId);
      this.rooms.delete(action.roomId);
      room?.end(error(action.error));
    } else if (action.do === "settle") {
      const waiting = this.answers.get(action.op);
      this.answers.delete(action.op);
      if (action.error === null) waiting?.resolve(action.data);
      else waiting?.reject(errorOf(action.error));
    } else if (action.do === "link") {
      this.current = action.link;
      this.options.onLink?.(action.link);
    } else if (action.do === "note") this.options.onNote?.(action.kind, action.fields);
  }
}

function error(failure: Failure | null): ClientError | null {
  return failure === null ? null : errorOf(failure);
}
