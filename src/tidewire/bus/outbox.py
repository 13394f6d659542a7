"""Frames taken but not yet confirmed by a broker: bounded in number and bytes, whole calls only. Pure.

Overflow policy: refuse the call, keep what is there. It must not know sockets; a frame is opaque bytes, one message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Outbox:
    """A queue in three steps: offer, take (now in flight), confirm.

    Args:
        max_messages: Bound of queued plus in-flight frames.
        max_bytes: Bound of their bytes.
    """

    __slots__ = ("_flight", "_queue", "bytes", "max_bytes", "max_messages")

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.bytes = 0
        self._queue: deque[bytes] = deque()
        self._flight: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._queue) + len(self._flight)

    @property
    def queued(self) -> int:
        """How many frames wait to be written."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """How many frames are written and wait for the broker's answer."""
        return len(self._flight)

    def offer(self, frames: Sequence[bytes]) -> bool:
        """Queue all of ``frames`` or none of them; return whether they were taken."""
        size = sum(map(len, frames))
        if len(self) + len(frames) > self.max_messages or self.bytes + size > self.max_bytes:
            return False
        self.bytes += size
        self._queue.extend(frames)
        return True

    def take(self, max_messages: int, max_bytes: int) -> list[bytes]:
        """Move the oldest frames into flight, at least one if there is any, and return them in order."""
        taken: list[bytes] = []
        size = 0
        queue = self._queue
        while queue and len(taken) < max_messages:
            size += len(queue[0])
            if taken and size > max_bytes:
                break
            taken.append(queue.popleft())
        self._flight.extend(taken)
        return taken

    def confirm(self) -> None:
        """Forget the oldest frame in flight: the broker has answered for it."""
        self.bytes -= len(self._flight.popleft())

    def clear(self) -> tuple[int, int]:
        """Forget everything.

        Returns:
            (unsent, unconfirmed): how many frames were never written, and how many were written without an answer.
        """
        counts = len(self._queue), len(self._flight)
        self._queue.clear()
        self._flight.clear()
        self.bytes = 0
        return counts
