"""What a room still remembers, bounded in count, age and bytes, and what a returning client gets. Pure.

Either a client gets everything it missed, once and in order, or it is told that it does not, and why: never a part.
It must not know who asks or how messages are sent. Overflow policy: the oldest message goes.
Source: contract.md section 5, ``subscribe`` with ``since``.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from tidewire.core.protocol import Delivery

Reason = Literal["not_requested", "epoch_changed", "history_trimmed", "offset_ahead", "no_history"]


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of a room.

    Attributes:
        encoded: Bytes per audience; every audience of the room is in it.
        at: When it was published, monotonic seconds.
        offset: Its place; None if it has none.
        key: What a ``latest`` message is the newest of.
    """

    encoded: Mapping[str, bytes]
    at: float
    delivery: Delivery
    offset: int | None = None
    key: str | None = None


class Recovery(msgspec.Struct, frozen=True):
    """The answer to a subscribe: ``messages`` are to be sent before anything live."""

    recovered: bool
    messages: list[bytes]
    reason: Reason | None = None
    missed_at_least: int | None = None


class History:
    """The newest messages of one room and, for ``latest`` rooms, the newest per key.

    Args:
        max_messages: 0 keeps none.
        max_age_s: Older messages are forgotten.
        max_bytes: Bound over all audiences.
        max_keys: How many keys have their newest message kept as the room's present state; 0 keeps none.
    """

    __slots__ = ("_entries", "_held_bytes", "_max_age_s", "_max_bytes", "_max_keys", "_max_messages", "_newest")

    def __init__(self, *, max_messages: int, max_age_s: float, max_bytes: int, max_keys: int = 0) -> None:
        self._max_messages = max_messages
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._max_keys = max_keys
        # Made when the first message comes: most rooms (one per user) never have one, and an empty deque is 760 bytes.
        self._entries: deque[Publication] | None = None
        self._held_bytes = 0
        self._newest: dict[str, Publication] | None = None

    def __len__(self) -> int:
        return len(self._entries) if self._entries is not None else 0

    @property
    def resumable(self) -> bool:
        """Whether the room remembers anything at all."""
        return self._max_messages > 0

    @property
    def empty(self) -> bool:
        """Whether nothing is remembered, neither messages nor a present state."""
        return not self._entries and not self._newest

    @property
    def held_bytes(self) -> int:
        """Bytes of all remembered messages."""
        return self._held_bytes

    def append(self, publication: Publication) -> None:
        """Remember a message that has an offset; offsets must come without holes."""
        if self._max_messages > 0:
            if self._entries is None:
                self._entries = deque()
            self._entries.append(publication)
            self._held_bytes += _size(publication)
        if self._max_keys > 0 and publication.key is not None:
            if self._newest is None:
                self._newest = {}
            self._newest.pop(publication.key, None)
            self._newest[publication.key] = publication
            if len(self._newest) > self._max_keys:
                del self._newest[next(iter(self._newest))]
        self.trim(publication.at)

    def forget(self) -> None:
        """Forget everything."""
        self._entries = self._newest = None
        self._held_bytes = 0

    def trim(self, now: float) -> None:
        """Forget what is over a bound at ``now`` (monotonic seconds)."""
        entries = self._entries
        if entries is None:
            return
        while entries and (
            len(entries) > self._max_messages
            or self._held_bytes > self._max_bytes
            or now - entries[0].at > self._max_age_s
        ):
            self._held_bytes -= _size(entries.popleft())

    def newest(self, audience: str) -> list[bytes]:
        """Return the newest message per key, oldest first."""
        return [publication.encoded[audience] for publication in (self._newest or {}).values()]

    def tail(self, audience: str, count: int, now: float) -> list[bytes]:
        """Return the newest ``count`` remembered messages, oldest first."""
        self.trim(now)
        return self._last(count, audience)

    def since(self, offset: int, *, newest_offset: int, audience: str, now: float) -> Recovery:
        """Return what came after ``offset``.

        Args:
            newest_offset: The room's newest offset; 0 if it never had a message.
        """
        if offset > newest_offset:
            return self.anew(audience, "offset_ahead")
        missed = newest_offset - offset
        if missed == 0:
            return Recovery(True, [])
        self.trim(now)
        if missed > len(self):
            lost = missed - len(self)
            return self.anew(audience, "history_trimmed" if self.resumable else "no_history", lost)
        return Recovery(True, self._last(missed, audience))

    def anew(self, audience: str, reason: Reason, missed_at_least: int | None = None) -> Recovery:
        """Return the present state for a client that starts afresh."""
        return Recovery(False, self.newest(audience), reason, missed_at_least)

    def _last(self, count: int, audience: str) -> list[bytes]:
        start = max(0, len(self) - count)
        return [entry.encoded[audience] for entry in itertools.islice(self._entries or (), start, None)]


def _size(publication: Publication) -> int:
    return sum(len(encoded) for encoded in publication.encoded.values())
