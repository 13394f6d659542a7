"""Ticks for pure tests."""

from __future__ import annotations

import itertools

from tidewire.monitoring.bus_tick import BusTick, Seen

NOW = 1_700_000_000.0


class Ticks:
    """Makes numbered ticks."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def make(
        self, symbol: str = "A", lane: str | None = "connection_1", change: float | None = None, event: str = "T"
    ) -> Seen:
        """Return the next tick."""
        tick = BusTick("market_tick", symbol, 1.0, 1.0, NOW, "test", lane, event)
        return Seen(next(self._ids), tick, lane, change, NOW, None)
