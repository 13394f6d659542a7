"""Feeds ``market:{SYMBOL}`` rooms from the bus: every tick to those inside, the last one to whoever comes.

A tick of a symbol that nobody watches costs one dictionary entry: it is neither parsed as a whole nor encoded. It must
not know sessions or sockets. Overflow: of more symbols than ``MAX_SYMBOLS`` the one known longest is forgotten.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from tidewire.accounts.grants import Address
from tidewire.bus.base import Bus, Subscription
from tidewire.core.market import TICK_CHANNEL
from tidewire.hub.hub import Hub
from tidewire.market.rules import KIND, PREFIX, symbol_of, tick_body

# Every listed US security is about 12,000; other programs may invent symbols without end.
MAX_SYMBOLS = 50_000


class _Last:
    """The newest message of one symbol, and whether its room has it."""

    __slots__ = ("payload", "shown")

    def __init__(self) -> None:
        self.payload = b""
        self.shown = False


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
        self._last: dict[str, _Last] = {}
        self._subscription: Subscription | None = None
        self.fed = 0
        self.malformed = 0
        self.forgotten = 0

    def start(self) -> None:
        """Begin to listen. Raises RuntimeError if it listens already."""
        if self._subscription is not None:
            raise RuntimeError("the room feeder runs already")
        self._subscription = self._bus.subscribe(TICK_CHANNEL, self._receive)
        self._hub.on_filling(self._fill)

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many symbols are remembered."""
        return {
            "fed": self.fed,
            "malformed": self.malformed,
            "forgotten": self.forgotten,
            "symbols": len(self._last),
        }

    def symbols(self, prefix: str, limit: int) -> list[str]:
        """Return at most ``limit`` known symbols that begin with ``prefix``, shortest first, then by name."""
        found = (symbol for symbol in self._last if symbol.startswith(prefix))
        return heapq.nsmallest(limit, found, key=lambda symbol: (len(symbol), symbol))

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        known, occupied = self._last, self._hub.occupied
        for payload in payloads:
            symbol = symbol_of(payload)
            if symbol is None:
                self.malformed += 1
                continue
            last = known.get(symbol)
            if last is None:
                last = self._add(symbol)
            room_id = PREFIX + symbol
            if occupied(room_id):
                last.shown = self._show(room_id, symbol, payload)
            else:
                last.shown = False
            last.payload = payload

    def _fill(self, address: Address, is_new: bool) -> None:
        last = self._last.get(address.key) if address.family == "market" else None
        if last is not None and (is_new or not last.shown):
            last.shown = self._show(address.room_id, address.key, last.payload)

    def _show(self, room_id: str, symbol: str, payload: bytes) -> bool:
        body = tick_body(payload)
        if body is None:
            self.malformed += 1
            return False
        self._hub.publish(room_id, body, kind=KIND, key=symbol)
        self.fed += 1
        return True

    def _add(self, symbol: str) -> _Last:
        if len(self._last) >= self._max_symbols:
            del self._last[next(iter(self._last))]
            self.forgotten += 1
        last = self._last[symbol] = _Last()
        return last
