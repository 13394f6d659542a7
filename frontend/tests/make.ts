/** Builds the messages that tests feed in. */
import type { FeedStatus, LineHealth, NodeShown, Point, Reach, Snapshot, Tick } from "../src/socket/wire";

export function line(more: Partial<LineHealth> = {}): LineHealth {
  return {
    name: "primary",
    status: "connected",
    enabled: true,
    state: "live",
    assigned_tickers: 2,
    tickers: ["AAPL", "MSFT"],
    message_count: 10,
    error_count: 0,
    ...more,
  };
}

export function status(more: Partial<FeedStatus> = {}): FeedStatus {
  return {
    total_connections: 2,
    connected_count: 2,
    total_ticks_received: 20,
    total_errors: 0,
    connections: { connection_1: line(), connection_2: line({ name: "secondary" }) },
    ...more,
  };
}

export function reach(more: Partial<Reach> = {}): Reach {
  const well = { kind: "redis", state: "up", circuit: "closed", since: 3, reason: "" } as const;
  return { ...well, last_error: "", last_error_at: null, rtt_ms: 0.4, ...more };
}

export function node(more: Partial<NodeShown> = {}): NodeShown {
  return {
    node: "web",
    instance: "web:1",
    this: false,
    connections: 2,
    started_at: 1,
    heard_at: 9,
    overdue: false,
    reach: { bus: reach({ circuit: null }), room_log: reach() },
    ...more,
  };
}

export function tick(id: number, more: Partial<Tick> = {}): Tick {
  return {
    type: "market_tick",
    symbol: "AAPL",
    price: 178.23,
    volume: 100,
    timestamp: 1_700_000_000 + id,
    source: "massive",
    connection_id: "connection_1",
    id,
    change_pct: 0.01,
    event: "T",
    ...more,
  };
}

export function point(more: Partial<Point> = {}): Point {
  return { messages_per_second: 25, gaps: 0, dropped: 0, ...more };
}

export function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  return {
    status: status(),
    history: {},
    ticks: {},
    paused: {},
    options: { batch: true, filter: null },
    server_time: 1_700_000_100,
    can: { feed_control: true },
    ...more,
  };
}
