"""The feed's health as it travels on the bus. Pure; it must not know how it was measured or who reads it.

The feed writes these structs, monitoring reads them; they are the only thing the two share.
Source: contract.md section 3 (``get_health_status``); fields beyond it are additions.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FEED_STATUS_CHANNEL = "tidewire:feed:status"
FEED_COMMAND_CHANNEL = "tidewire:feed:command"
# Feeds that wait for the leader to go say so here, once a second.
FEED_STANDBY_CHANNEL = "tidewire:feed:standby"
# Replies go to FEED_REPLY_PREFIX + the asking node's name.
FEED_REPLY_PREFIX = "tidewire:feed:reply:"

FeedOperation = Literal["pause", "resume", "inspect", "reconnect", "move", "ping"]
LineStatus = Literal["disconnected", "connecting", "connected", "error", "disabled"]
# What an operator sees. `status` above is the contract's coarse word, `state` the exact one.
LineState = Literal[
    "disabled",
    "disconnected",
    "connecting",
    "greeting",
    "authenticating",
    "subscribing",
    "live",
    "degraded",
    "stale",
    "market_closed",
    "cooldown",
    "open_circuit",
    "paused",
    "failed",
]


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds over the sliding window; None while nothing was measured."""

    p50: float | None = None
    p99: float | None = None


class Ending(msgspec.Struct, frozen=True):
    """How one upstream connection ended.

    Attributes:
        at: Unix seconds.
        stage: connect, greeting, auth, acknowledgement, stream.
        cause: Stable word: ``tcp_reset``, ``close_1008``, ``auth_failed``, ``max_connections``, ...
        message: What happened, one sentence, without secrets.
        will_retry_at: Unix seconds of the next attempt; None if the line stays down.
    """

    at: float
    stage: str
    cause: str
    message: str
    will_retry_at: float | None = None


class LineHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One slot 1..max. Rates are over a sliding window; counters count since the process started."""

    name: str
    status: LineStatus
    enabled: bool
    state: LineState = "disabled"
    state_since: float | None = None
    universe_key: str | None = None
    assigned_tickers: int = 0
    tickers: list[str] = []
    message_count: int = 0
    error_count: int = 0
    last_message_time: float | None = None
    connected_since: float | None = None
    uptime_seconds: float = 0.0
    messages_per_second: float = 0.0
    bytes_per_second: float = 0.0
    frame_count: int = 0
    byte_count: int = 0
    reconnects: int = 0
    last_error: str | None = None
    next_retry_at: float | None = None
    latency_ms: Percentiles = Percentiles()
    gaps: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    corrections: int = 0
    parse_errors: int = 0
    last_bad_sample: str | None = None
    refused_topics: list[str] = []
    queue_depth: int = 0
    dropped: int = 0
    endings: list[Ending] = []
    warnings: list[str] = []


class FeedPause(msgspec.Struct, frozen=True):
    """The feed is paused for everybody: who did it, when (Unix seconds), and why."""

    by: str
    since: float
    reason: str = ""


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What ``get_health_status()`` returns, as a struct.

    Attributes:
        node: Name of the process that runs the feed; empty if it was not said.
        fence: The number with which it leads; 0 if it needs none. The last member (core/fence.py).
    """

    timestamp: float
    source: Literal["massive", "synthetic"]
    total_connections: int
    connected_count: int
    total_ticks_received: int
    total_errors: int
    unassigned_ticks: int = 0
    paused: FeedPause | None = None
    warnings: list[str] = []
    connections: dict[str, LineHealth]
    node: str = ""
    fence: int = 0


class FeedStandby(msgspec.Struct, frozen=True, kw_only=True):
    """A feed that waits.

    Attributes:
        node: Its name.
        since: Since when it waits, Unix seconds.
        holder: Who leads, as far as it knows; empty if nobody does.
        reason: Why it waits.
    """

    node: str
    since: float
    holder: str
    reason: str


class FeedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the feed process.

    Attributes:
        id: Correlation id chosen by the asker.
        reply_to: Channel for the reply.
        op: ``pause``, ``resume``, ``inspect``, ``reconnect`` (a line) or ``move`` (a ticker to a line).
        fence: The leader that is meant, from its last status; any other refuses or says nothing.
        by: Name of the user who asked.
        reason: Why, free text (pause).
        connection_id, frame, symbol: Which tick (inspect); which line (reconnect, move) and ticker (move).
    """

    id: str
    reply_to: str
    op: FeedOperation
    by: str
    reason: str = ""
    connection_id: str = ""
    frame: int = 0
    symbol: str = ""
    fence: int = 0


class FrameInspection(msgspec.Struct, frozen=True, kw_only=True):
    """The raw frame behind a tick (dashboard M10).

    Attributes:
        raw: The frame's text as received (decoded leniently), at most 64 KiB; ``truncated`` says if cut.
        raw_bytes: Its full size in bytes.
        received: Unix seconds.
        event_raw: The one event's own JSON text, if it could be told apart.
        decoded: The event as Tidewire understood it, as JSON text; None if it did not.
        verdict: ``valid``, or what was wrong.
    """

    raw: str
    raw_bytes: int
    truncated: bool
    received: float
    event_raw: str | None
    decoded: str | None
    verdict: str


class FeedReply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one FeedCommand. On ``ok`` false, ``error`` is the error's describe()."""

    id: str
    ok: bool
    error: dict[str, str] | None = None
    inspection: FrameInspection | None = None
