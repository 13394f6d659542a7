"""Feeds ``market:{SYMBOL}`` rooms from the bus: every tick to those inside, the last one to whoever comes.

A tick of a symbol that nobody watches costs one dictionary entry: it is neither parsed as a whole nor encoded. It must
not know sessions or sockets. Overflow: of more symbols than ``MAX_SYMBOLS`` the one known longest is forgotten.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from tidewire.accounts.grants import Address
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.market import TICK_CHANNEL
from tidewire.hub.hub import Hub
from tidewire.market.rules import KIND, PREFIX, START, symbol_of, tick_body

# Every listed US security is about 12,000; other programs may invent symbols without end.
MAX_SYMBOLS = 50_000


class _Last:
    """The newest message of one symbol.

    Attributes:
        shown: Whether its room has it.
        watched: Whether somebody may be in the room; False is certain.
    """

    __slots__ = ("payload", "room_id", "shown", "symbol", "watched")

    def __init__(self, symbol: str, watched: bool) -> None:
        self.symbol = symbol
        self.room_id = PREFIX + symbol
        self.payload = b""
        self.shown = False
        self.watched = watched


class RoomFeeder:
    """See the module's text.

    Args:
        hub: Whose rooms are fed.
        max_symbols: Symbols whose newest tick is remembered.
    """

    def __init__(self, bus: Bus, hub: Hub, *, max_symbols: int = MAX_SYMBOLS) -> None:
        self._bus = bus
        self._hub = hub
        self._max_symbols = max_symbols
        self._known: dict[bytes, _Last] = {}
        self._listening = Listening(bus, {TICK_CHANNEL: self._receive})
        self.fed = 0
        self.malformed = 0
        self.forgotten = 0

    def start(self) -> None:
        """Begin to listen. Raises RuntimeError if it listens already."""
        self._listening.start()
        self._hub.on_filling(self._fill)

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        self._listening.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many symbols are remembered."""
        return {
            "fed": self.fed,
            "malformed": self.malformed,
            "forgotten": self.forgotten,
            "symbols": len(self._known),
        }

    def symbols(self, prefix: str, limit: int) -> list[str]:
        """Return at most ``limit`` known symbols that begin with ``prefix``, shortest first, then by name."""
        found = (last.symbol for last in self._known.values() if last.symbol.startswith(prefix))
        return heapq.nsmallest(limit, found, key=lambda symbol: (len(symbol), symbol))

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        known, begin = self._known, len(START)
        for payload in payloads:
            # The short way for what our own publisher sent: cut the symbol out. A wrong cut finds nothing, or a symbol
            # whose tick this is not, which is noticed before anybody sees it.
            last = known.get(payload[begin : payload.find(b'"', begin)]) if payload.startswith(START) else None
            if last is None:
                last = self._find(payload)
                if last is None:
                    self.malformed += 1
                    continue
            if last.watched:
                self._pass_on(last, payload)
            else:
                last.payload = payload
                last.shown = False

    def _find(self, payload: bytes) -> _Last | None:
        symbol = symbol_of(payload)
        if symbol is None:
            return None
        key = symbol.encode("utf-8", "replace")
        last = self._known.get(key)
        if last is None:
            if len(self._known) >= self._max_symbols:
                del self._known[next(iter(self._known))]
                self.forgotten += 1
            last = self._known[key] = _Last(symbol, self._hub.occupied(PREFIX + symbol))
        return last

    def _pass_on(self, last: _Last, payload: bytes) -> None:
        if not self._hub.occupied(last.room_id):
            last.watched = last.shown = False
            last.payload = payload
        elif self._show(last, payload):
            last.payload = payload

    def _fill(self, address: Address, is_new: bool) -> None:
        last = self._known.get(address.key.encode()) if address.family == "market" else None
        if last is None:
            return
        last.watched = True
        if is_new or not last.shown:
            self._show(last, last.payload)

    def _show(self, last: _Last, payload: bytes) -> bool:
        shown = tick_body(payload, last.symbol)
        if shown is None:
            self.malformed += 1
            return False
        self._hub.publish(last.room_id, shown.body, kind=KIND, key=last.symbol, place=shown.place)
        last.shown = True
        self.fed += 1
        return True
