"""One client's connection as data: who it is, what it wants, what waits for it. Pure; it must not know sockets."""

from __future__ import annotations

from enum import Enum
from math import inf

import msgspec

from tidewire.feed.simulator.wire import event_frame


class Stage(Enum):
    """CONNECTED -> AUTHENTICATED -> CLOSING; CLOSING also directly from CONNECTED. Nothing leaves CLOSING."""

    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    CLOSING = "closing"


class Session:
    """State of one connection.

    Args:
        number: Its number, counted from 1; never used twice.
        now_s: When it was opened, market seconds.
        deadline_s: When it must have authenticated, market seconds.
    """

    def __init__(self, number: int, now_s: float, deadline_s: float) -> None:
        self.number = number
        self.opened_s = now_s
        self.deadline_s = deadline_s
        self.stage = Stage.CONNECTED
        self.key = ""
        self.topics: set[tuple[str, str]] = set()
        # Eviction policy "newest": to be closed once its first subscribe is answered.
        self.doomed = False
        # Encoded events since the last flush; emptied every quantum, so bounded by the rate.
        self.outbox: list[bytes] = []
        self.frames = self.events = self.bytes = 0
        self.last_frame = b""
        self.reorder = False
        self._held: list[bytes] = []
        self._quiet_until_s = 0.0
        self._stalled = False

    def quiet(self, now_s: float) -> bool:
        """Whether it sends no data and no statuses now (mute or stall)."""
        return now_s < self._quiet_until_s

    def stalled(self, now_s: float) -> bool:
        """Whether it does not even read or answer pings now."""
        return self._stalled and self.quiet(now_s)

    def hush(self, until_s: float = inf, *, stalled: bool = False) -> None:
        """Send nothing until ``until_s`` (market seconds)."""
        self._quiet_until_s = until_s
        self._stalled = stalled

    def unhush(self) -> None:
        """Send again. What was made meanwhile is lost: the venue replays nothing (feed-protocol.md 1.5)."""
        self._quiet_until_s = 0.0
        self._stalled = False

    def take_frames(self, now_s: float, max_events: int) -> list[bytes]:
        """Empty the outbox into frames of at most ``max_events`` events."""
        outbox = self.outbox
        if not outbox:
            return []
        if self.stage is not Stage.AUTHENTICATED or self.quiet(now_s):
            outbox.clear()
            return []
        if self.reorder:
            self._hold_for_reorder()
        frames = [event_frame(outbox[start : start + max_events]) for start in range(0, len(outbox), max_events)]
        self.events += len(outbox)
        outbox.clear()
        if frames:
            self.last_frame = frames[-1]
        return frames

    def note_sent(self, size: int) -> None:
        """Count one frame of ``size`` bytes, whatever it held."""
        self.frames += 1
        self.bytes += size

    def _hold_for_reorder(self) -> None:
        # Held until one ticker has two events of a channel, which then go out the wrong way round. There are at most
        # four channels times the listed tickers different pairs, so this ends.
        self._held += self.outbox
        self.outbox.clear()
        heads = [_head(event) for event in self._held]
        if len(set(heads)) < len(heads):
            self.outbox.extend(reversed(self._held))
            self._held = []
            self.reorder = False


class _Head(msgspec.Struct):
    ev: str
    sym: str = ""


_decode_head = msgspec.json.Decoder(_Head)


def _head(event: bytes) -> tuple[str, str]:
    head = _decode_head.decode(event)
    return head.ev, head.sym
