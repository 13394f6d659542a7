"""Fifteen minutes of one point per second per connection, from the first second. Pure; it must not know who asks.

Points are encoded when they are recorded, so that a snapshot of thousands of them is one join of bytes.
Source: docs/admin-channel.md (point); dashboard.md M2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from tidewire.core.feed_status import LineHealth

# 15 minutes: the longest time span that the page's sparklines show.
POINTS = 900


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One second of one connection. None is unknown; counters are totals since the feed started.

    Attributes:
        latency_p50, latency_p99: Milliseconds.
        last_tick_age: Seconds.
    """

    messages_per_second: float | None = None
    bytes_per_second: float | None = None
    latency_p50: float | None = None
    latency_p99: float | None = None
    last_tick_age: float | None = None
    gaps: int | None = None
    duplicates: int | None = None
    parse_errors: int | None = None
    reconnects: int | None = None
    queue_depth: int | None = None
    dropped: int | None = None


UNKNOWN = Point()
_encode = msgspec.json.Encoder().encode


def point_of(line: LineHealth, now: float) -> Point:
    """Return what ``line`` says about the second that ends at ``now`` (Unix seconds)."""
    last = line.last_message_time
    return Point(
        messages_per_second=line.messages_per_second,
        bytes_per_second=line.bytes_per_second,
        latency_p50=line.latency_ms.p50,
        latency_p99=line.latency_ms.p99,
        # A venue's stamp may lie a little ahead of this machine's clock; an age is never negative.
        last_tick_age=None if last is None else max(0.0, now - last),
        gaps=line.gaps,
        duplicates=line.duplicates,
        parse_errors=line.parse_errors,
        reconnects=line.reconnects,
        queue_depth=line.queue_depth,
        dropped=line.dropped,
    )


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive points of one connection, oldest first; point ``i`` is second ``start + i * step_s``."""

    start: int
    step_s: int
    points: list[msgspec.Raw]


class History:
    """The ring. Bounded: ``length`` points per connection, oldest dropped; connections that vanish age out.

    Args:
        length: Points kept per connection.
    """

    def __init__(self, length: int = POINTS) -> None:
        self._length = length
        self._last: int | None = None
        self._series: dict[str, deque[msgspec.Raw]] = {}
        self._silent_for: dict[str, int] = {}

    def record(self, second: int, points: Mapping[str, Point]) -> dict[str, msgspec.Raw]:
        """Store the points of ``second`` (Unix seconds, whole) and return them encoded.

        Seconds that were missed are filled with unknown points, so that a stall shows as a hole; a second that is
        not later than the last one (the clock was set back) replaces the last.
        """
        steps = 1 if self._last is None else min(second - self._last, self._length)
        self._last = second if self._last is None else max(self._last, second)
        encoded = {connection_id: msgspec.Raw(_encode(point)) for connection_id, point in points.items()}
        for connection_id, series in self._series.items():
            if steps <= 0 and series:
                series.pop()
            series.extend([_UNKNOWN_RAW] * (steps - 1))
            series.append(encoded.get(connection_id, _UNKNOWN_RAW))
        for connection_id in encoded.keys() - self._series.keys():
            self._series[connection_id] = deque([encoded[connection_id]], maxlen=self._length)
        self._forget(set(encoded), max(1, steps))
        return encoded

    def series(self) -> dict[str, Series]:
        """Return everything that is kept."""
        if self._last is None:
            return {}
        return {
            connection_id: Series(start=self._last - len(points) + 1, step_s=1, points=list(points))
            for connection_id, points in sorted(self._series.items())
        }

    def statistics(self) -> dict[str, int]:
        """Return how many connections and points are kept."""
        return {"connections": len(self._series), "points": sum(map(len, self._series.values()))}

    def _forget(self, present: set[str], steps: int) -> None:
        """Drop connections whose every kept point is unknown by now."""
        for connection_id in list(self._series):
            if connection_id in present:
                self._silent_for.pop(connection_id, None)
                continue
            silent = self._silent_for.get(connection_id, 0) + steps
            self._silent_for[connection_id] = silent
            if silent >= self._length:
                del self._series[connection_id], self._silent_for[connection_id]


_UNKNOWN_RAW = msgspec.Raw(_encode(UNKNOWN))
