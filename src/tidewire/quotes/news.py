"""Tells whoever looks at a list of quotes that it may have changed, on all nodes: that, and nothing of what.

What somebody's list shows depends on filter, page and permissions, so the news says only "ask again"; it is gathered,
so that any number of changes is one message in a while. It goes over the bus, at most once: lists ask by themselves now
and then. It must not know what a quote contains, or who may see what.
Source: docs/quotes.md, "The pages"; docs/decisions/0016.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidewire.accounts.grants import Address
from tidewire.accounts.model import Principal
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.features import Features
from tidewire.hub.session import Session
from tidewire.quotes.rules import LIST_FAMILY, LIST_ROOM, rights_of
from tidewire.quotes.wire import QuotesChanged

CHANNEL = "tidewire:quotes:changed"
KIND = "quotes_changed"
# Each message is a question by everybody who has a list open; faster than this nobody reads.
EVERY_S = 0.5


class ListNews:
    """See the module's text."""

    def __init__(self, bus: Bus, features: Features, clock: Clock) -> None:
        self._bus = bus
        self._features = features
        self._clock = clock
        loop = WatchedLoop("quotes-news", EVERY_S, self.tick, clock)
        self.rounds = Rounds(loop, Listening(bus, {CHANNEL: self._receive}))
        self._stored = self._heard = False
        self.told = 0
        self.untold = 0
        features.on_moved(self._moved)

    def start(self) -> None:
        """Listen to all nodes, and tell."""
        self.rounds.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self.rounds.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start: connections told; attempts to tell the other nodes that failed."""
        return {"told": self.told, "untold": self.untold}

    def note(self) -> None:
        """A quote has been made or changed."""
        self._stored = True

    def tick(self) -> None:
        """Tell what has been noted since; called every ``EVERY_S``."""
        if self._stored:
            try:
                self._bus.publish(CHANNEL, [b"{}"])
                self._stored = False
            except BusError:
                # It stays noted; here at least they are told.
                self.untold += 1
                self._heard = True
        if self._heard:
            self._heard = False
            self.told += self._features.whisper(LIST_ROOM, b'{"reason":"quotes"}', kind=KIND)

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        self._heard = self._heard or bool(payloads)

    def _moved(self, session: Session, address: Address, before: Principal | None) -> None:
        """A list shows more or less to somebody from now on."""
        if address.family == LIST_FAMILY and rights_of(session.principal) != rights_of(before):
            message = QuotesChanged(room_id=LIST_ROOM, timestamp=self._clock.time(), reason="permissions")
            self._features.send(session, msgspec.json.encode(message))
