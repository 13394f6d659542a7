/**
 * The words of the admin channel, as docs/admin-channel.md and contract.md sections 3 and 4 define them.
 * Types only: it must not know how a message travels or what is drawn from it. Times are Unix seconds.
 */
import type { Json } from "../client/index";

export interface ErrorObject {
  code: string;
  message: string;
  required_action: string;
  will_not: string;
  /** What the sentences name, for those who say them in other words. */
  details?: Json | undefined;
}

export type LineStatus = "disconnected" | "connecting" | "connected" | "error" | "disabled";

export interface Ending {
  at: number;
  stage: string;
  cause: string;
  message: string;
  will_retry_at?: number | null;
}

/** One upstream slot. Only the contract's fields are certain; the rest is there when the feed knows it. */
export interface LineHealth {
  name: string;
  status: LineStatus;
  enabled: boolean;
  state?: string;
  state_since?: number | null;
  universe_key?: string | null;
  assigned_tickers: number;
  tickers?: string[];
  message_count: number;
  error_count: number;
  last_message_time?: number | null;
  connected_since?: number | null;
  uptime_seconds?: number;
  messages_per_second?: number;
  bytes_per_second?: number;
  frame_count?: number;
  byte_count?: number;
  reconnects?: number;
  last_error?: string | null;
  next_retry_at?: number | null;
  latency_ms?: { p50: number | null; p99: number | null };
  gaps?: number;
  duplicates?: number;
  out_of_order?: number;
  corrections?: number;
  parse_errors?: number;
  last_bad_sample?: string | null;
  refused_topics?: string[];
  queue_depth?: number;
  dropped?: number;
  endings?: Ending[];
  warnings?: string[];
}

export interface FeedPause {
  by: string;
  since: number;
  reason?: string;
}

/** One background loop; ages and intervals in seconds. */
export interface LoopReport {
  running: boolean;
  interval: number;
  last_run_age: number | null;
  runs: number;
  failures: number;
  last_error: string | null;
}

/** How a node reaches the bus or the room log; times in Unix seconds. */
export interface Reach {
  kind: string;
  state: "up" | "degraded" | "down";
  /** Null where there is none. */
  circuit: "closed" | "open" | "half_open" | null;
  since: number;
  reason: string;
  /** The newest trouble since the node started, and when it began. */
  last_error: string;
  last_error_at: number | null;
  rtt_ms: number | null;
}

export interface NodeShown {
  node: string;
  /** One life of a process; `node` is what the operator called it. */
  instance: string;
  /** It is the one that serves this page. */
  this: boolean;
  connections: number;
  started_at: number;
  heard_at: number;
  overdue: boolean;
  reach: Record<string, Reach>;
}

export interface FeedStatus {
  timestamp?: number;
  source?: string;
  total_connections: number;
  connected_count: number;
  total_ticks_received: number;
  total_errors: number;
  /** When the feed measured what is in here; null if it never spoke. */
  feed_timestamp?: number | null;
  unassigned?: { message_count: number; messages_per_second: number; last_message_time: number | null };
  /** The background loops of the web process that serves this page. */
  loops?: Record<string, LoopReport>;
  /** Messages on the tick channel that were not understood. */
  bus_errors?: { count: number; last_sample: string | null; last_reason: string | null; last_at: number | null };
  /** Every node that is known, the one that serves this page first. */
  nodes?: NodeShown[];
  paused?: FeedPause | null;
  warnings?: string[];
  /** Since when the web process has heard nothing of the feed; null or absent while it hears it. */
  feed_silent_since?: number | null;
  connections: Record<string, LineHealth>;
}

export interface Tick {
  type: "market_tick";
  symbol: string;
  price: number;
  volume: number;
  timestamp: number;
  source: string;
  connection_id: string | null;
  id: number;
  change_pct: number | null;
  event?: string;
  received?: number;
  published?: number;
  frame?: number;
}

export interface TickBatch {
  ticks: Tick[];
  dropped: number;
}

export interface LineMetrics {
  message_count: number;
  messages_per_second: number;
  uptime_seconds: number;
  error_count: number;
  status: string;
  dropped: number;
  held: number;
}

/** One second of one connection; counters are totals. */
export type Point = Partial<
  Record<
    | "messages_per_second"
    | "bytes_per_second"
    | "latency_p50"
    | "latency_p99"
    | "last_tick_age"
    | "gaps"
    | "duplicates"
    | "parse_errors"
    | "reconnects"
    | "queue_depth"
    | "dropped",
    number | null
  >
>;

export interface HistoryUpdate {
  t: number;
  connections: Record<string, Point>;
}

export interface Filter {
  symbols?: string[];
  types?: string[];
  text?: string;
  min_change?: number;
}

export interface Options {
  batch: boolean;
  filter: Filter | null;
}

export interface Snapshot {
  status: FeedStatus;
  history: Record<string, { start: number; step_s: number; points: Point[] }>;
  ticks: Record<string, Tick[]>;
  paused: Record<string, number>;
  options: Options;
  server_time: number;
  can: { feed_control: boolean };
}

export interface ResumeAnswer {
  paused: Record<string, number>;
  ticks: Record<string, Tick[]>;
  skipped: Record<string, number>;
}

export interface Inspection {
  tick: Tick;
  raw: string;
  raw_bytes: number;
  truncated: boolean;
  event_raw: string | null;
  decoded: string | null;
  verdict: string;
  timings: { exchange?: number | null; received?: number | null; published?: number | null; seen?: number | null };
  origin: "upstream" | "bus";
}

export type Ack<T> = ({ ok: true } & T) | { ok: false; error: ErrorObject };
type Nothing = Record<never, never>;

export interface ServerEvents {
  connection_status_update: (status: FeedStatus) => void;
  tick_update: (tick: Tick) => void;
  tick_batch: (batch: TickBatch) => void;
  metrics_update: (metrics: Record<string, LineMetrics>) => void;
  history_update: (update: HistoryUpdate) => void;
  held_update: (held: Record<string, number>) => void;
  error: (error: ErrorObject) => void;
}

/** What the page may ask, and what the acknowledgement carries beside `ok`. */
export interface Requests {
  request_snapshot: { send: Nothing; answer: Snapshot };
  request_metrics: { send: Nothing; answer: Nothing };
  set_options: { send: { batch?: boolean; filter?: Filter | null }; answer: { options: Options } };
  pause_stream: { send: { connection_id?: string }; answer: { paused: Record<string, number> } };
  resume_stream: { send: { connection_id?: string }; answer: ResumeAnswer };
  inspect_tick: { send: { id: number }; answer: Inspection };
  pause_feed: { send: { confirm: "pause feed"; reason?: string }; answer: Nothing };
  resume_feed: { send: Nothing; answer: Nothing };
}

/** The pretended connection of ticks that no line owns. */
export const UNASSIGNED = "unassigned";
