"""Tells everyone in a quote who is in which field, on all nodes. It must not know what a quote contains.

What clients say goes over the bus, at most once, and from there into the rooms of each node: the same way with one node
as with many. A few times a second is enough; in between only the newest word of a connection counts.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.features import Features
from tidewire.hub.session import Session
from tidewire.quotes.focus import REPEAT_S, Focus, FocusTable
from tidewire.quotes.rules import PREFIX
from tidewire.quotes.wire import Editor, FocusBody

CHANNEL = "tidewire:quotes:focus"
# Faster than anybody follows with their eyes, and slow enough that held keys cost nothing.
EVERY_S = 0.2


class FocusNote(msgspec.Struct, frozen=True, array_like=True):
    """What one node tells the others. ``origin``: that node's life."""

    origin: str
    quote_id: str
    connection_id: str
    user_id: int
    username: str
    field: str | None
    typing: bool


_decode = msgspec.json.Decoder(FocusNote).decode


class Attention:
    """See the module's text."""

    def __init__(self, bus: Bus, features: Features, clock: Clock) -> None:
        self._bus = bus
        self._features = features
        self._clock = clock
        self._table = FocusTable()
        self._origin = secrets.token_hex(8)
        self._repeat_at = 0.0
        loop = WatchedLoop("quotes-focus", EVERY_S, self.tick, clock)
        self.rounds = Rounds(loop, Listening(bus, {CHANNEL: self._receive}))
        self.malformed = 0
        self.untold = 0

    def start(self) -> None:
        """Listen to the other nodes, and tell."""
        self.rounds.start()

    async def stop(self) -> None:
        """Say that this node's connections are gone, and stop. Idempotent."""
        await self.rounds.stop()
        for focus in self._table.own():
            self._table.end(focus.quote_id, focus.connection_id)
        self.tick()

    def statistics(self) -> dict[str, int]:
        """Return how many places are known, and counters since start."""
        table = self._table
        return {"places": len(table), "refused": table.refused, "malformed": self.malformed, "untold": self.untold}

    def say(self, session: Session, quote_id: str, field: str | None, *, typing: bool) -> None:
        """Note where a connection of this node is."""
        principal = session.principal
        if principal is None:
            return
        self._table.set(
            Focus(
                quote_id=quote_id,
                connection_id=session.connection_id,
                user_id=principal.user_id,
                username=principal.username,
                field=field,
                typing=typing and field is not None,
                own=True,
                heard=self._clock.monotonic(),
            )
        )

    def editors(self, quote_id: str) -> list[Editor]:
        """Return who is in which field of a quote, as far as this node knows."""
        return [
            Editor(
                connection_id=focus.connection_id,
                user_id=focus.user_id,
                username=focus.username,
                field=focus.field,
                typing=focus.typing,
            )
            for focus in self._table.of_quote(quote_id)
        ]

    def tick(self) -> None:
        """Tell what is new; called a few times a second."""
        now, table = self._clock.monotonic(), self._table
        for focus in table.own():
            # It may have left the room, lost the permission or its connection.
            if not self._features.connected(focus.connection_id, PREFIX + focus.quote_id):
                table.end(focus.quote_id, focus.connection_id)
        table.tick(now)
        news = table.take_news()
        for focus in news:
            self._show(focus)
        told = [focus for focus in news if focus.own]
        if now >= self._repeat_at:
            self._repeat_at = now + REPEAT_S
            told += table.own()
        if told:
            self._tell(told)

    def _tell(self, places: Sequence[Focus]) -> None:
        notes = [
            FocusNote(
                self._origin,
                focus.quote_id,
                focus.connection_id,
                focus.user_id,
                focus.username,
                focus.field,
                focus.typing,
            )
            for focus in places
        ]
        try:
            self._bus.publish(CHANNEL, [msgspec.json.encode(note) for note in notes])
        except BusError:
            # Volatile: it is repeated soon, and the bus tells its own state.
            self.untold += len(notes)

    def _show(self, focus: Focus) -> None:
        body = FocusBody(
            quote_id=focus.quote_id,
            connection_id=focus.connection_id,
            user_id=focus.user_id,
            username=focus.username,
            field=focus.field,
            typing=focus.typing,
        )
        self._features.whisper(PREFIX + focus.quote_id, msgspec.json.encode(body), kind="field_focus")

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                note = _decode(payload)
            except UNREADABLE:
                self.malformed += 1
                continue
            if note.origin != self._origin:
                self._table.set(
                    Focus(
                        quote_id=note.quote_id,
                        connection_id=note.connection_id,
                        user_id=note.user_id,
                        username=note.username,
                        field=note.field,
                        typing=note.typing,
                        own=False,
                        heard=self._clock.monotonic(),
                    )
                )
