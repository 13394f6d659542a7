"""When rooms are written out: at once while small, at a distance that grows with the room, so that messages are joined.

Small rooms flush in the same turn of the loop; in large ones flushes keep their distance instead of costing a write
per message and member. It must not know commands, authentication or who may be in a room.
Overflow: a room whose pending messages reach a bound is flushed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from tidewire.core.clock import Clock
from tidewire.hub.fanout import deliver
from tidewire.hub.outbox import Outcome
from tidewire.hub.room import Room
from tidewire.hub.session import Session

_log = structlog.get_logger(__name__)

# A write to one socket costs about 5 microseconds; at twice that per member, one room uses at most half a core.
PACE_PER_MEMBER_S = 10e-6
# Nobody sees the difference to immediate, and a room of any size stays well under the 50 ms bar.
MAX_PACE_S = 0.020
# One frame stays small enough for a client to parse in one go.
PENDING_MESSAGES = 256
PENDING_BYTES = 65_536


class Scheduler(Protocol):
    """What is needed of the event loop."""

    def call_soon(self, callback: Callable[[], None], /) -> object:
        """Run ``callback`` in the next turn."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Run ``callback`` after ``delay`` seconds."""
        ...


class Outflow:
    """See the module's text.

    Args:
        close_slow: Called for a connection that must be closed because it reads too slowly.
    """

    def __init__(self, clock: Clock, scheduler: Scheduler, close_slow: Callable[[Session], None]) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._close_slow = close_slow
        self._soon: dict[Room[Session], None] = {}
        self._later: dict[Room[Session], float] = {}
        self._quiet_until: dict[Room[Session], float] = {}
        self._later_at = float("inf")
        self.delivered = 0
        self.failed = 0

    def forget(self, room: Room[Session]) -> None:
        """The room is gone."""
        self._quiet_until.pop(room, None)

    def flush_all(self) -> None:
        """Write out everything that is pending, now."""
        for room in [*self._soon, *self._later]:
            self.flush(room)
        self._soon.clear()
        self._later.clear()

    def schedule(self, room: Room[Session], now: float) -> None:
        """Write out what is pending in a room, soon. ``now``: monotonic seconds."""
        if room.pending >= PENDING_MESSAGES or room.pending_bytes >= PENDING_BYTES:
            self.flush(room)
            return
        if room in self._soon or room in self._later:
            return
        due = self._quiet_until.get(room, 0.0)
        if due <= now:
            if not self._soon:
                self._scheduler.call_soon(self._flush_soon)
            self._soon[room] = None
            return
        self._later[room] = due
        if due < self._later_at:
            self._later_at = due
            self._scheduler.call_later(due - now, self._flush_later)

    def _flush_soon(self) -> None:
        rooms, self._soon = self._soon, {}
        for room in rooms:
            self._flush_safely(room)

    def _flush_later(self) -> None:
        now = self._clock.monotonic()
        # A timer may fire a hair early; half a millisecond is nothing to anybody.
        due = [room for room, at in self._later.items() if at <= now + 0.0005]
        for room in due:
            self._later.pop(room, None)
            self._flush_safely(room)
        self._later_at = min(self._later.values(), default=float("inf"))
        if self._later:
            self._scheduler.call_later(max(0.0, self._later_at - now), self._flush_later)

    def _flush_safely(self, room: Room[Session]) -> None:
        try:
            self.flush(room)
        except Exception:  # noqa: BLE001 - a root of the event loop: one room's failure must not stop the others
            self.failed += 1
            _log.exception("room_flush_failed", room_id=room.room_id, will_not="Tidewire will not send these again.")

    def flush(self, room: Room[Session]) -> None:
        """Write out what is pending in a room, now."""
        shares = room.flush()
        must_go: list[Session] = []
        for share in shares:
            self.delivered += len(share.members) * len(share.publications)
            must_go += [
                session
                for session in deliver(share)
                if session.hold(room, share.audience, share.publications) is Outcome.CLOSE
            ]
        room.settle()
        self._later.pop(room, None)
        pace_s = min(MAX_PACE_S, len(room) * PACE_PER_MEMBER_S)
        self._quiet_until[room] = self._clock.monotonic() + pace_s
        for session in must_go:
            self._close_slow(session)
