"""The status that viewers and the API get, made from the feed's last word and its age. Pure; it must not know the bus.

A feed that has gone silent is never shown as connected: what it said last is old.
Source: contract.md section 3 (``get_health_status``) with additions; docs/admin-channel.md.
"""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from tidewire.core.feed_status import FeedPause, FeedStandby, FeedStatus, LineHealth
from tidewire.core.loop_report import LoopReport
from tidewire.hub.node_info import NodeShown
from tidewire.monitoring.bus_errors import BusErrorReport
from tidewire.monitoring.bus_tick import UNASSIGNED, Malformed
from tidewire.monitoring.history import UNKNOWN, Point, point_of

# 16 lines of some thousand tickers each stay below 1 MiB; the rest is room for endings and samples.
MAX_STATUS_BYTES = 4 * 1024 * 1024
_LINE_ID = re.compile(r"connection_([1-9]|1[0-6])", re.ASCII)
# Two names, a sentence and a number.
MAX_STANDBY_BYTES = 4096
_decode = msgspec.json.Decoder(FeedStatus).decode
_decode_standby = msgspec.json.Decoder(FeedStandby).decode


def is_known_line(line: str) -> bool:
    """Whether ``line`` can name a slot at all: ``connection_1`` to ``connection_16`` (contract.md section 2)."""
    return _LINE_ID.fullmatch(line) is not None


def parse_status(payload: bytes) -> FeedStatus:
    """Return the status in a message of the status channel. Raises Malformed."""
    if len(payload) > MAX_STATUS_BYTES:
        raise Malformed(f"status of {len(payload)} bytes; at most {MAX_STATUS_BYTES} are accepted")
    try:
        status = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Malformed(f"status: {exc}") from exc
    except RecursionError as exc:
        raise Malformed("status: JSON nested too deeply") from exc
    if not all(is_known_line(line) for line in status.connections):
        raise Malformed("status: a connection id that is none of connection_1..connection_16")
    return status


def parse_standby(payload: bytes) -> FeedStandby:
    """Return what a waiting feed said. Raises Malformed."""
    if len(payload) > MAX_STANDBY_BYTES:
        raise Malformed(f"standby of {len(payload)} bytes; at most {MAX_STANDBY_BYTES} are accepted")
    try:
        return _decode_standby(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Malformed(f"standby: {exc}") from exc
    except RecursionError as exc:
        raise Malformed("standby: JSON nested too deeply") from exc


class Unassigned(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks that no line owns, as counted by this process."""

    message_count: int
    messages_per_second: float
    last_message_time: float | None


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks for the feed; ``fence`` is 0 if there can be only one."""

    node: str
    fence: int


class MonitorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``connection_status_update`` and the status API.

    Attributes:
        timestamp: When this answer was made, Unix seconds.
        feed_timestamp: When the feed measured what is in here; None if it never spoke.
        feed_silent_since: When the feed was last heard, if that is too long ago; else None.
        nodes: Every node, this one first, and how each reaches bus and room log.
    """

    timestamp: float
    feed_timestamp: float | None
    feed_silent_since: float | None
    source: str | None
    total_connections: int
    connected_count: int
    total_ticks_received: int
    total_errors: int
    paused: FeedPause | None
    warnings: list[str]
    unassigned: Unassigned
    bus_errors: BusErrorReport
    loops: dict[str, LoopReport]
    leader: Leader | None
    standby: list[FeedStandby]
    nodes: list[NodeShown]
    connections: dict[str, LineHealth]


class LineMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``metrics_update``; ``dropped`` and ``held`` are this viewer's own counts."""

    message_count: int
    messages_per_second: float
    uptime_seconds: float
    error_count: int
    status: str
    dropped: int
    held: int


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of FeedView, ready to be put in the shapes that viewers get."""

    now: float
    feed: FeedStatus | None
    silent_since: float | None
    unassigned_count: int
    unassigned_rate: float
    unassigned_last_at: float | None
    errors: BusErrorReport
    loops: dict[str, LoopReport]
    standby: tuple[FeedStandby, ...] = ()
    nodes: tuple[NodeShown, ...] = ()

    def lines(self) -> dict[str, LineHealth]:
        """Return every slot; while the feed is silent, none of them as connected."""
        if self.feed is None:
            return {}
        if self.silent_since is None:
            return self.feed.connections
        return {line: self._stale(health) for line, health in self.feed.connections.items()}

    def status(self) -> MonitorStatus:
        """Return the whole status."""
        feed = self.feed
        lines = self.lines()
        return MonitorStatus(
            timestamp=self.now,
            feed_timestamp=feed.timestamp if feed else None,
            feed_silent_since=self.silent_since,
            source=feed.source if feed else None,
            total_connections=feed.total_connections if feed else 0,
            connected_count=feed.connected_count if feed and self.silent_since is None else 0,
            total_ticks_received=feed.total_ticks_received if feed else 0,
            total_errors=feed.total_errors if feed else 0,
            paused=feed.paused if feed else None,
            warnings=self._warnings(),
            unassigned=Unassigned(
                message_count=self.unassigned_count,
                messages_per_second=self.unassigned_rate,
                last_message_time=self.unassigned_last_at,
            ),
            bus_errors=self.errors,
            loops=self.loops,
            leader=Leader(node=feed.node, fence=feed.fence) if feed else None,
            standby=list(self.standby),
            nodes=list(self.nodes),
            connections=lines,
        )

    def points(self) -> dict[str, Point]:
        """Return this second's point of every line and of ``unassigned``; unknown while the feed is silent."""
        silent = self.silent_since is not None
        points = {
            line: UNKNOWN if silent else point_of(health, self.now)
            for line, health in self.lines().items()
            if health.enabled
        }
        last = self.unassigned_last_at
        points[UNASSIGNED] = Point(
            messages_per_second=self.unassigned_rate,
            last_tick_age=None if last is None else max(0.0, self.now - last),
        )
        return points

    def metrics(self, dropped: dict[str, int], held: dict[str, int]) -> dict[str, LineMetrics]:
        """Return ``metrics_update`` for a viewer with these counts per connection id."""
        metrics = {
            line: LineMetrics(
                message_count=health.message_count,
                messages_per_second=health.messages_per_second,
                uptime_seconds=health.uptime_seconds,
                error_count=health.error_count,
                status=health.status,
                dropped=dropped.get(line, 0),
                held=held.get(line, 0),
            )
            for line, health in self.lines().items()
        }
        metrics[UNASSIGNED] = LineMetrics(
            message_count=self.unassigned_count,
            messages_per_second=self.unassigned_rate,
            uptime_seconds=0.0,
            error_count=0,
            status=UNASSIGNED,
            dropped=dropped.get(UNASSIGNED, 0),
            held=held.get(UNASSIGNED, 0),
        )
        return metrics

    def signature(self) -> tuple[object, ...]:
        """Return what makes a ``connection_status_update`` worth sending: everything but clocks, counters and rates."""
        feed = self.feed
        return (
            self.silent_since is not None,
            feed and (feed.source, feed.total_connections, feed.connected_count, feed.paused, tuple(feed.warnings)),
            feed and (feed.node, feed.fence),
            self.standby,
            tuple(node.signature() for node in self.nodes),
            self.errors.count,
            self.unassigned_count > 0,
            tuple((name, loop.is_late, loop.failures) for name, loop in self.loops.items()),
            tuple((line, _signature(health)) for line, health in self.lines().items()),
        )

    def _stale(self, health: LineHealth) -> LineHealth:
        if not health.enabled:
            return health
        return replace(
            health,
            status="error",
            state="stale",
            state_since=self.silent_since,
            messages_per_second=0.0,
            bytes_per_second=0.0,
            uptime_seconds=0.0,
            warnings=[*health.warnings, "Unknown: the feed has stopped reporting; these numbers are its last."],
        )

    def _warnings(self) -> list[str]:
        warnings = list(self.feed.warnings) if self.feed else []
        if self.silent_since is not None and self.feed is None:
            warnings.append("The feed has not reported yet. Check that the feed process runs and the bus is up.")
        elif self.silent_since is not None:
            warnings.append("The feed has stopped reporting. Check that the feed process runs and the bus is up.")
        warnings += [f"The monitor's {name} loop is late." for name, loop in self.loops.items() if loop.is_late]
        return warnings


def _signature(health: LineHealth) -> tuple[object, ...]:
    return (
        health.name,
        health.status,
        health.enabled,
        health.state,
        health.state_since,
        health.universe_key,
        health.assigned_tickers,
        tuple(health.tickers),
        health.connected_since,
        health.reconnects,
        health.last_error,
        health.next_retry_at,
        tuple(health.refused_topics),
        tuple(health.endings),
        tuple(health.warnings),
    )
