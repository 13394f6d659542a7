"""What one slow connection has not been sent yet, bounded in bytes. Pure.

It is used only while a connection reads too slowly; a quick one never has anything in it. Overflow policy, by
delivery class: lossless messages wait, a ``latest`` one replaces the older with the same key, a volatile one is
dropped. Over the hard mark the messages of resumable rooms are given up (a ``gap`` tells the client); if that is not
enough, the connection must go. It must not know sockets or rooms' rules; it returns verdicts, the session acts.
Source: contract.md section 5, "Delivery classes"; reliability.md 3.1 item 8.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field

import msgspec

from tidewire.core.protocol import Delivery

# Centrifugo's default client queue is 1 MiB; a browser that is that far behind has been away, not slow.
HARD_BYTES = 1_048_576
# Python's own cost of holding one message: a tuple, a dict slot, references (measured about 150 bytes).
ITEM_COST_BYTES = 160


class Budget:
    """Bytes that all outboxes of the process may hold together.

    Args:
        max_bytes: Beyond this the outbox that would grow is judged as if it were over its own hard mark.
    """

    __slots__ = ("dropped", "given_up", "held_bytes", "max_bytes", "peak_bytes", "replaced")

    def __init__(self, max_bytes: int = 256 * 1_048_576) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.peak_bytes = 0
        # Messages of all outboxes since start, those of connections that have ended included.
        self.replaced = 0
        self.dropped = 0
        self.given_up = 0

    def add(self, count_bytes: int) -> None:
        """Account for ``count_bytes`` more (or fewer, if negative)."""
        self.held_bytes += count_bytes
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)

    @property
    def exhausted(self) -> bool:
        """Whether the outboxes hold more than they may."""
        return self.held_bytes > self.max_bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one room that were given up, both ends included."""

    room_id: str
    from_offset: int
    to_offset: int


class Outcome(enum.Enum):
    """What became of one offered message."""

    HELD = "held"
    REPLACED = "replaced"
    DROPPED = "dropped"
    GAP = "gap"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the session must do after an offer: send ``gap`` for each span and suspend those rooms, or close."""

    outcome: Outcome
    gaps: tuple[Span, ...] = ()


_HELD = Verdict(Outcome.HELD)
_REPLACED = Verdict(Outcome.REPLACED)
_DROPPED = Verdict(Outcome.DROPPED)
_CLOSE = Verdict(Outcome.CLOSE)


class OutboxStatistics(msgspec.Struct, frozen=True):
    """Counters since the connection began, and what is held now."""

    messages: int
    bytes: int
    replaced: int
    dropped: int
    given_up: int


@dataclass(frozen=True, slots=True)
class Held:
    """Of one room: what is held now, and how many messages were lost since it was entered."""

    messages: int
    bytes: int
    lost: int


@dataclass(slots=True)
class _Item:
    encoded: bytes
    room_id: str | None
    offset: int | None
    resumable: bool
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        self.cost = len(self.encoded) + ITEM_COST_BYTES


class Outbox:
    """See the module's text.

    Args:
        budget: Shared by all outboxes of the process.
        hard_bytes: Bound of what is held plus what the transport has not written.
    """

    __slots__ = (
        "_budget",
        "_hard_bytes",
        "_items",
        "_lost",
        "_serial",
        "dropped",
        "given_up",
        "held_bytes",
        "replaced",
    )

    def __init__(self, budget: Budget, hard_bytes: int = HARD_BYTES) -> None:
        self._budget = budget
        self._hard_bytes = hard_bytes
        # Insertion order is sending order; a replaced message leaves its place and goes to the end, so that the offsets
        # of a room never run backwards.
        self._items: dict[Hashable, _Item] = {}
        self._serial = 0
        # Most clients never lose anything, so most have no table.
        self._lost: dict[str, int] | None = None
        self.held_bytes = 0
        self.replaced = 0
        self.dropped = 0
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._items)

    def offer(
        self,
        encoded: bytes,
        *,
        delivery: Delivery,
        in_flight_bytes: int,
        key: str | None = None,
        room_id: str | None = None,
        offset: int | None = None,
        resumable: bool = False,
    ) -> Verdict:
        """Hold a message, or say why not.

        Args:
            delivery: ``latest`` needs ``key`` to replace anything; without one it is held like a lossless one.
            in_flight_bytes: What the transport has taken and not written.
            offset: The message's place, if it has one.
            resumable: The room keeps history, so that a gap can be healed.
        """
        if delivery == "volatile":
            self.dropped += 1
            self._budget.dropped += 1
            self._lose(room_id)
            return _DROPPED
        verdict = _HELD
        if delivery == "latest" and key is not None:
            slot: Hashable = (room_id, key)
            old = self._items.pop(slot, None)
            if old is not None:
                self._account(-old.cost)
                self.replaced += 1
                self._budget.replaced += 1
                self._lose(room_id)
                verdict = _REPLACED
        else:
            self._serial += 1
            slot = self._serial
        item = _Item(encoded, room_id, offset, resumable and offset is not None)
        self._items[slot] = item
        self._account(item.cost)
        if not self._over(in_flight_bytes):
            return verdict
        return self._relieve(in_flight_bytes)

    def take(self, max_bytes: int) -> list[bytes]:
        """Return the oldest messages, about ``max_bytes`` of them and at least one if any is held, and forget them."""
        taken: list[bytes] = []
        size = 0
        while self._items and size < max_bytes:
            item = self._items.pop(next(iter(self._items)))
            self._account(-item.cost)
            taken.append(item.encoded)
            size += len(item.encoded)
        return taken

    def leave(self, room_id: str) -> None:
        """Forget what is held of a room that the client is no longer in."""
        if self._lost is not None:
            self._lost.pop(room_id, None)
        if not self._items:
            return
        for slot in [slot for slot, item in self._items.items() if item.room_id == room_id]:
            self._account(-self._items.pop(slot).cost)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._account(-self.held_bytes)

    def by_room(self) -> dict[str, Held]:
        """Return what is held and what was lost of each room of which something is or was."""
        found = {} if self._lost is None else {room_id: Held(0, 0, lost) for room_id, lost in self._lost.items()}
        for item in self._items.values():
            if item.room_id is not None:
                before = found.get(item.room_id, Held(0, 0, 0))
                found[item.room_id] = Held(before.messages + 1, before.bytes + len(item.encoded), before.lost)
        return found

    def statistics(self) -> OutboxStatistics:
        """Return counters."""
        return OutboxStatistics(len(self._items), self.held_bytes, self.replaced, self.dropped, self.given_up)

    def _lose(self, room_id: str | None) -> None:
        if room_id is not None:
            self._lost = self._lost or {}
            self._lost[room_id] = self._lost.get(room_id, 0) + 1

    def _over(self, in_flight_bytes: int) -> bool:
        return self.held_bytes + in_flight_bytes > self._hard_bytes or self._budget.exhausted

    def _relieve(self, in_flight_bytes: int) -> Verdict:
        """Give up what the client can fetch again; close if that does not bring it under the marks."""
        spans: dict[str, Span] = {}
        for slot, item in list(self._items.items()):
            if not item.resumable or item.room_id is None or item.offset is None:
                continue
            del self._items[slot]
            self._account(-item.cost)
            self.given_up += 1
            self._budget.given_up += 1
            self._lose(item.room_id)
            first = spans[item.room_id].from_offset if item.room_id in spans else item.offset
            spans[item.room_id] = Span(item.room_id, first, item.offset)
        if not spans or self._over(in_flight_bytes):
            return _CLOSE
        return Verdict(Outcome.GAP, tuple(spans.values()))

    def _account(self, change_bytes: int) -> None:
        self.held_bytes += change_bytes
        self._budget.add(change_bytes)
