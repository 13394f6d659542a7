/**
 * What the hub's messages must be, to check them by, and what its close codes mean. Generated from
 * src/tidewire/core/protocol.py and close_code.py; renew with `python -m tests.support.wire_types`. It must not be
 * edited by hand.
 */

/** What a value must be; `optional` may also be absent or null. */
export type Shape =
  | { kind: "string" | "number" | "integer" | "boolean" | "json" }
  | { kind: "word"; words: readonly string[] }
  | { kind: "list"; of: Shape }
  | { kind: "object"; fields: Readonly<Record<string, Shape>>; optional: readonly string[] };

export const CONNECTION_SHAPE: Shape = {
  kind: "object",
  fields: {
    status: {
      kind: "word",
      words: ["closing", "connected", "degraded", "draining", "refreshed", "restored", "token_expiring"],
    },
    timestamp: { kind: "number" },
    connection_id: { kind: "string" },
    session_id: { kind: "string" },
    protocol: { kind: "string" },
    user: {
      kind: "object",
      fields: {
        user_id: { kind: "integer" },
        username: { kind: "string" },
        role: { kind: "string" },
        permissions: { kind: "list", of: { kind: "string" } },
      },
      optional: [],
    },
    heartbeat: {
      kind: "object",
      fields: { interval_ms: { kind: "integer" }, timeout_ms: { kind: "integer" } },
      optional: [],
    },
    limits: {
      kind: "object",
      fields: {
        message_bytes: { kind: "integer" },
        rooms: { kind: "integer" },
        messages_per_second: { kind: "integer" },
        burst: { kind: "integer" },
        connections_per_user: { kind: "integer" },
      },
      optional: [],
    },
    reconnect_terms: {
      kind: "object",
      fields: {
        min_delay_ms: { kind: "integer" },
        max_delay_ms: { kind: "integer" },
        stable_after_ms: { kind: "integer" },
      },
      optional: [],
    },
    token_expires_at: { kind: "number" },
    code: { kind: "integer" },
    reason: { kind: "string" },
    reconnect: { kind: "string" },
    reconnect_after_ms: { kind: "integer" },
    message: { kind: "string" },
  },
  optional: [
    "connection_id",
    "session_id",
    "protocol",
    "user",
    "heartbeat",
    "limits",
    "reconnect_terms",
    "token_expires_at",
    "code",
    "reason",
    "reconnect",
    "reconnect_after_ms",
    "message",
  ],
};

export const PONG_SHAPE: Shape = {
  kind: "object",
  fields: { timestamp: { kind: "number" }, last_sequence: { kind: "integer" } },
  optional: ["last_sequence"],
};

export const HEARTBEAT_SHAPE: Shape = { kind: "object", fields: { timestamp: { kind: "number" } }, optional: [] };

export const REPLY_SHAPE: Shape = {
  kind: "object",
  fields: {
    id: { kind: "json" },
    ok: { kind: "boolean" },
    error: {
      kind: "object",
      fields: {
        code: { kind: "string" },
        message: { kind: "string" },
        required_action: { kind: "string" },
        will_not: { kind: "string" },
        temporary: { kind: "boolean" },
        retry_after_ms: { kind: "integer" },
        details: { kind: "json" },
      },
      optional: ["temporary", "retry_after_ms", "details"],
    },
    data: { kind: "json" },
  },
  optional: ["error", "data"],
};

export const ERROR_SHAPE: Shape = {
  kind: "object",
  fields: {
    code: { kind: "string" },
    message: { kind: "string" },
    required_action: { kind: "string" },
    will_not: { kind: "string" },
    temporary: { kind: "boolean" },
    retry_after_ms: { kind: "integer" },
    about: { kind: "string" },
    details: { kind: "json" },
  },
  optional: ["temporary", "retry_after_ms", "about", "details"],
};

export const SUBSCRIBED_SHAPE: Shape = {
  kind: "object",
  fields: {
    room_id: { kind: "string" },
    epoch: { kind: "string" },
    offset: { kind: "integer" },
    recovered: { kind: "boolean" },
    replayed: { kind: "integer" },
    delivery: { kind: "word", words: ["latest", "lossless", "volatile"] },
    reason: { kind: "string" },
    missed_at_least: { kind: "integer" },
  },
  optional: ["reason", "missed_at_least"],
};

export const UNSUBSCRIBED_SHAPE: Shape = {
  kind: "object",
  fields: { room_id: { kind: "string" }, reason: { kind: "string" }, message: { kind: "string" } },
  optional: ["message"],
};

export const ROOM_EVENT_SHAPE: Shape = {
  kind: "object",
  fields: {
    room_id: { kind: "string" },
    event: { kind: "word", words: ["member_joined", "member_left", "presence_diff", "presence_state"] },
    timestamp: { kind: "number" },
    count: { kind: "integer" },
    member: {
      kind: "object",
      fields: { user_id: { kind: "integer" }, username: { kind: "string" }, joined_at: { kind: "number" } },
      optional: [],
    },
    members: {
      kind: "list",
      of: {
        kind: "object",
        fields: { user_id: { kind: "integer" }, username: { kind: "string" }, joined_at: { kind: "number" } },
        optional: [],
      },
    },
    joined: {
      kind: "list",
      of: {
        kind: "object",
        fields: { user_id: { kind: "integer" }, username: { kind: "string" }, joined_at: { kind: "number" } },
        optional: [],
      },
    },
    left: {
      kind: "list",
      of: {
        kind: "object",
        fields: { user_id: { kind: "integer" }, username: { kind: "string" }, joined_at: { kind: "number" } },
        optional: [],
      },
    },
    complete: { kind: "boolean" },
  },
  optional: ["member", "members", "joined", "left", "complete"],
};

export const GAP_SHAPE: Shape = {
  kind: "object",
  fields: {
    room_id: { kind: "string" },
    epoch: { kind: "string" },
    from_offset: { kind: "integer" },
    to_offset: { kind: "integer" },
    reason: { kind: "string" },
  },
  optional: [],
};

export const ROOM_MESSAGE_SHAPE: Shape = {
  kind: "object",
  fields: {
    room_id: { kind: "string" },
    timestamp: { kind: "number" },
    data: { kind: "json" },
    epoch: { kind: "string" },
    offset: { kind: "integer" },
    sender: { kind: "object", fields: { user_id: { kind: "integer" }, username: { kind: "string" } }, optional: [] },
  },
  optional: ["epoch", "offset", "sender"],
};

/** Close code to its name. */
export const CLOSE_NAMES: Readonly<Record<number, string>> = {
  "4000": "drain",
  "4001": "rebalance",
  "4002": "insufficient_state",
  "4003": "slow_consumer",
  "4004": "no_pong",
  "4006": "state_invalidated",
  "4100": "broker_unavailable",
  "4101": "storage_unavailable",
  "4102": "node_overloaded",
  "4103": "rate_limited",
  "4104": "internal_error",
  "4105": "auth_timeout",
  "4200": "token_expired",
  "4202": "permissions_changed",
  "4500": "unauthorized",
  "4501": "bad_request",
  "4503": "force_disconnect",
  "4504": "connection_limit",
  "4506": "unsupported_protocol",
  "4507": "permission_denied",
  "4509": "too_many_errors",
  "4511": "account_disabled",
  "4512": "logged_out",
};

/** Name of a close code: what happened, what to do. */
export const CLOSE_SENTENCES: Readonly<Record<string, readonly [string, string]>> = {
  drain: ["This node is being shut down.", "Reconnect after the hint."],
  rebalance: ["This node hands connections to others.", "Reconnect after the hint."],
  insufficient_state: ["Your state does not fit what was sent.", "Reconnect and resume."],
  slow_consumer: ["You read more slowly than messages arrive.", "Reconnect, resume, ask for less."],
  no_pong: ["No sign of life within the heartbeat's time.", "Reconnect and resume."],
  state_invalidated: ["What you hold is no longer true.", "Drop local state, then reconnect."],
  broker_unavailable: ["The message broker cannot be reached.", "Reconnect with backoff."],
  storage_unavailable: ["The database cannot be reached.", "Reconnect with backoff."],
  node_overloaded: ["This node has no room for another connection.", "Reconnect with backoff."],
  rate_limited: ["Far too many messages.", "Reconnect with backoff and send less."],
  internal_error: ["Tidewire made a mistake; it has been logged.", "Reconnect with backoff."],
  auth_timeout: ["No authentication within the time allowed.", "Authenticate at once."],
  token_expired: ["The token is expired, used up or unknown.", "Fetch a new token, then reconnect."],
  permissions_changed: ["Your permissions have changed.", "Fetch a new token, then reconnect."],
  unauthorized: ["Nobody is logged in with what you sent.", "Log in."],
  bad_request: ["This is not the protocol.", "Mend the client."],
  force_disconnect: ["An administrator closed this connection.", "Ask the administrator."],
  connection_limit: ["You have too many connections open.", "Close other tabs or clients."],
  unsupported_protocol: ["None of the offered subprotocols is spoken here.", "Update the client."],
  permission_denied: ["This is not open to you.", "Ask an administrator for the permission."],
  too_many_errors: ["Too many wrong messages in a row.", "Mend the client."],
  account_disabled: ["The account has been disabled.", "Ask an administrator."],
  logged_out: ["The session has been logged out.", "Log in again."],
};
