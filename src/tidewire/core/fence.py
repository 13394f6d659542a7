"""Tells messages of the feed that leads from those of one that has been replaced. Pure; it must not know the bus.

Whoever leads gets a number that is higher than any before it (bus/lease.py) and puts it, last, into each message. A
consumer keeps the highest it has seen and takes nothing with a lower one. Messages without a number are other programs'
and are let through: anybody may publish ticks (contract.md section 3).
Source: M. Kleppmann, "How to do distributed locking" (fencing tokens).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidewire.core.unreadable import UNREADABLE

_MARK = b'"fence":'


class _Fenced(msgspec.Struct):
    fence: int = 0


_decode = msgspec.json.Decoder(_Fenced).decode


def tail_of(fence: int) -> bytes:
    """Return how a message stamped with ``fence`` ends; what any is to end with if ``fence`` is 0."""
    return b',"fence":%d}' % fence if fence else b"}"


def fence_of(payload: bytes) -> int:
    """Return the number in a message; 0 if it has none, or cannot be read (that is for its reader to say)."""
    if _MARK not in payload:
        return 0
    try:
        return _decode(payload).fence
    except UNREADABLE:
        return 0


class FenceGate:
    """Lets messages through that carry the highest number so far, or none.

    Attributes:
        highest: The highest number seen; 0 while none has been.
        refused: How many messages of replaced feeds were not let through.
    """

    def __init__(self) -> None:
        self.highest = 0
        self.refused = 0
        self._tail = b""

    def raise_to(self, fence: int) -> None:
        """Refuse everything below ``fence`` from now on; a lower one changes nothing."""
        if fence > self.highest:
            self.highest = fence
            self._tail = tail_of(fence)

    def admit(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """Return those of ``payloads`` that may be taken, in order."""
        # The usual case is one comparison of 22 bytes for each message; nothing is parsed.
        tail = self._tail
        if tail and all(payload.endswith(tail) for payload in payloads):
            return payloads
        admitted = [payload for payload in payloads if self._admits(payload)]
        self.refused += len(payloads) - len(admitted)
        return admitted

    def _admits(self, payload: bytes) -> bool:
        fence = fence_of(payload)
        if 0 < fence < self.highest:
            return False
        self.raise_to(fence)
        return True
