"""How many users, logins and rooms all nodes have together, each counted once, however many nodes have it.

Every two seconds a node tells what has come and gone there since it last told, as digests of 8 bytes, and what all of
it comes to; whoever finds that its picture does not come to the same asks for the whole. So a message that was lost is
found with the next one, and until then there is no total rather than a wrong one. A node without others tells nothing.
Exact but for two of the things counted having one digest: for 100,000 of them one chance in 3,000,000,000.
It must not know who asks, or what the things are.
Source: dashboard.md 1.2, M15.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE
from tidewire.core.watched_loop import WatchedLoop

CHANNEL = "tidewire:headcount"
# As often as nodes say that they live.
EVERY_S = 2.0
# Digests in one message: 80 KB.
PER_MESSAGE = 10_000
_ALL_BITS = 2**64 - 1

# Kind -> what this node has of it, such as user numbers or rooms' names.
Here = Mapping[str, AbstractSet[str | int]]


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """What has come and gone on a node.

    Attributes:
        whole: All of the kind follows; what was known before is void.
        check: How many that node has now, and the sum of their digests; None: there is more to come.
        ask: Nodes that are to tell the whole of every kind.
    """

    node: str
    kind: str
    came: bytes
    left: bytes
    whole: bool
    check: tuple[int, int] | None
    ask: tuple[str, ...]


@dataclass(slots=True)
class _Held:
    """What one node has of one kind; ``right``: it has said that it is this."""

    digests: set[int] = field(default_factory=set)
    total: int = 0
    right: bool = False

    @property
    def check(self) -> tuple[int, int]:
        return len(self.digests), self.total


_decode = msgspec.msgpack.Decoder(_Told).decode
_encode = msgspec.msgpack.Encoder().encode


class Headcount:
    """See the module's text.

    Args:
        node: This life of the process.
        here: Returns what this node has.
        known: Returns the nodes that live, this one too, and the names of those that are not heard.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        node: str,
        here: Callable[[], Here],
        known: Callable[[], tuple[Collection[str], list[str]]],
        every_s: float = EVERY_S,
    ) -> None:
        self._bus = bus
        self._node = node
        self._here = here
        self._known = known
        self._told: dict[str, dict[str | int, int]] = {}
        self._held: dict[tuple[str, str], _Held] = {}
        self._everywhere: dict[str, Counter[int]] = {}
        self._doubted: set[str] = set()
        loop = WatchedLoop("headcount", every_s, self.tick, clock, aligned=True)
        self.rounds = Rounds(loop, Listening(bus, {CHANNEL: self._receive}))
        self.asked = 0
        self.malformed = 0

    def start(self) -> None:
        """Listen, and tell from now on."""
        self.rounds.start()

    async def stop(self) -> None:
        """Tell no more. Idempotent."""
        await self.rounds.stop()

    def totals(self) -> dict[str, int]:
        """Return how many of each kind there are on all nodes that live; a kind that is not known is left out."""
        others = self._others()
        if not self._bus.reaches(CHANNEL):
            return {}
        if not others:
            return {kind: len(things) for kind, things in self._here().items()}
        return {
            kind: len(counts)
            for kind, counts in self._everywhere.items()
            if all(self._is_right(node, kind) for node in (self._node, *others))
        }

    def tick(self) -> None:
        """Tell what has changed."""
        if not self._others():
            # Whoever comes is told the whole.
            self._told = {}
            for kind in self._everywhere:
                self._forget(self._node, kind)
            return
        ask, self._doubted = tuple(sorted(self._doubted)), set()
        self.asked += len(ask)
        messages = [each for kind, things in self._here().items() for each in self._changes(kind, things, ask)]
        try:
            self._bus.publish(CHANNEL, messages)
        except BusError:
            # What the others have now is not known; they are told the whole when the bus is back.
            self._told = {}

    def statistics(self) -> dict[str, float]:
        """Return the totals, by kind."""
        return {kind: float(count) for kind, count in self.totals().items()}

    # ---- inside

    def _changes(self, kind: str, things: AbstractSet[str | int], ask: tuple[str, ...]) -> list[bytes]:
        """Note what has come and gone here, and return it as messages: the last one has what all comes to."""
        whole = kind not in self._told
        if whole:
            self._forget(self._node, kind)
        told = self._told.setdefault(kind, {})
        came = {thing: _digest(kind, thing) for thing in things - told.keys()}
        left = [told.pop(thing) for thing in told.keys() - things]
        told |= came
        held = self._apply(self._node, kind, came.values(), left)
        held.right = True
        digests = list(came.values())
        parts = [digests[at : at + PER_MESSAGE] for at in range(0, len(digests), PER_MESSAGE)] or [[]]
        messages = [_Told(self._node, kind, _packed(part), b"", False, None, ()) for part in parts]
        messages[0] = replace(messages[0], whole=whole)
        messages[-1] = replace(messages[-1], left=_packed(left), check=held.check, ask=ask)
        return [_encode(message) for message in messages]

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                told = _decode(payload)
                came, left = _unpacked(told.came), _unpacked(told.left)
            except (*UNREADABLE, struct.error):
                self.malformed += 1
                continue
            if told.node != self._node:
                self._take(told, came, left)

    def _take(self, told: _Told, came: Sequence[int], left: Sequence[int]) -> None:
        if self._node in told.ask:
            self._told = {}
        if told.whole:
            self._forget(told.node, told.kind)
        held = self._apply(told.node, told.kind, came, left)
        held.right = told.check is not None and told.check == held.check
        if told.check is not None and not held.right:
            self._doubted.add(told.node)

    def _apply(self, node: str, kind: str, came: Iterable[int], left: Iterable[int]) -> _Held:
        held = self._held.setdefault((node, kind), _Held())
        counts = self._everywhere.setdefault(kind, Counter())
        for digest in came:
            if digest not in held.digests:
                held.digests.add(digest)
                held.total = (held.total + digest) & _ALL_BITS
                counts[digest] += 1
        for digest in left:
            if digest in held.digests:
                held.digests.remove(digest)
                held.total = (held.total - digest) & _ALL_BITS
                counts[digest] -= 1
                if not counts[digest]:
                    del counts[digest]
        return held

    def _forget(self, node: str, kind: str) -> None:
        held = self._held.get((node, kind))
        if held is not None:
            self._apply(node, kind, (), list(held.digests))
            del self._held[node, kind]

    def _others(self) -> list[str]:
        """Return the other nodes that live; what those had that do not is forgotten."""
        living = self._known()[0]
        for node, kind in [key for key in self._held if key[0] != self._node and key[0] not in living]:
            self._forget(node, kind)
        return [node for node in living if node != self._node]

    def _is_right(self, node: str, kind: str) -> bool:
        held = self._held.get((node, kind))
        return held is not None and held.right


def _digest(kind: str, thing: str | int) -> int:
    return int.from_bytes(blake2b(f"{kind}:{thing}".encode(), digest_size=8).digest())


def _packed(digests: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(digests)}Q", *digests)


def _unpacked(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 8}Q", packed)
