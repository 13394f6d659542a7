"""Makes bans act on every node: each takes them into its book, closes who is there, and says that it has.

What is acknowledged is done: a node that has answered sends nothing more to whoever is banned, and lets nobody in. One
that has not answered is named; it finds the ban in the database when it reads the book anew. It must not know HTTP,
SQL or who bans. Source: contract.md section 5 (4503); dashboard.md M8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import structlog

from tidewire.accounts.bans import Bans
from tidewire.hub.door import Bars
from tidewire.hub.hub import Hub
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes
from tidewire.store.ban_records import Ban

_log = structlog.get_logger(__name__)

# Closes what a feature has open beside the hub for whoever ``bars(user_id, address)``; returns how many.
Also = Callable[[Bars], int]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """What became of bans on all nodes. ``closed``: connections that ended because of them."""

    closed: int
    silent: list[Silent]
    cut_off: str


class Banishment:
    """See the module's text.

    Args:
        nodes: The other nodes; its handler is set here.
        hub: This node's; from now on it lets nobody in who is banned.
    """

    def __init__(self, nodes: Nodes, hub: Hub, bans: Bans) -> None:
        self._nodes = nodes
        self._hub = hub
        self._bans = bans
        self._also: list[Also] = []
        hub.standing.bar(bans.bars)
        nodes.handlers["bans"] = lambda payload: msgspec.msgpack.encode(self._take_here(_bans(payload)))

    def close_also(self, close: Also) -> None:
        """Let a feature close its own sockets."""
        self._also.append(close)

    async def spread(self, bans: Sequence[Ban]) -> Spread:
        """Make bans, as they have become, act on every node; return once each has said so, or was given up."""
        replies = await self._nodes.ask("bans", msgspec.msgpack.encode(list(bans)))
        closed = sum(msgspec.msgpack.decode(reply.payload, type=int) for reply in replies.answers)
        return Spread(closed=closed, silent=replies.silent, cut_off=replies.cut_off)

    async def read(self) -> None:
        """Read the book anew, and act on what was not heard of. Raises StoreError."""
        missed = await self._bans.read()
        if missed:
            closed = self._enforce(missed)
            _log.info("bans_read", new=len(missed), closed=closed)

    # ---- inside

    def _take_here(self, bans: Sequence[Ban]) -> int:
        return self._enforce(self._bans.take(bans))

    def _enforce(self, bans: Sequence[Ban]) -> int:
        """Close everybody whom one of the bans hits; by the book, which knows the addresses best."""
        if not bans:
            return 0
        # Not only by these: whoever is banned has no business here, whyever they still are.
        bars = self._bans.bars
        return self._hub.standing.close_barred(bars) + sum(close(bars) for close in self._also)


_bans = msgspec.msgpack.Decoder(list[Ban]).decode
