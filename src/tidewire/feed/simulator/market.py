"""The market: turns a rate and a sequence of moments into events, exactly as many as the rate says. Pure.

Time passes in quanta of QUANTUM_MS. Same instruments, chance and moments: same events, whoever listens and however late
the caller is. All events count against the rate: trades, quotes, second bars and minute bars, wanted or not.
It must not know connections, sockets or the machine's clock.
"""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Mapping
from itertools import accumulate

from tidewire.feed.simulator.chance import Draw
from tidewire.feed.simulator.instrument import Instrument

# 100 frames a second per connection: small against the 500 ms from publish to pixel, and large enough that a frame
# holds hundreds of events at full rate, which is what keeps 50,000 events/s cheap.
QUANTUM_MS = 10
# The bars of a second go out over the first 0.8 s of the next instead of in one spike.
BAR_QUANTA = 80


class Market:
    """All instruments and the pace at which they trade.

    Args:
        instruments: By symbol, in order of listing.
        draw: Chance that picks which instrument trades next and whether it quotes.
        day_ms: How long a replayed day takes, market time.
        quote_share: Share of quotes among trades and quotes, 0..1.
    """

    def __init__(
        self, instruments: Mapping[str, Instrument], draw: Draw, *, day_ms: int, quote_share: float = 0.5
    ) -> None:
        self.instruments = instruments
        self.elapsed_ms = 0
        self.events = 0
        self._all = list(instruments.values())
        self._cumulated = list(accumulate(instrument.listing.weight for instrument in self._all))
        self._draw = draw
        self._day_ms = day_ms
        self._quote_share = quote_share
        # Thousandths of an event that the rate allows and that have not been made.
        self._credit = 0
        self._second: int | None = None
        self._minute: int | None = None
        self._bars: deque[tuple[Instrument, str, bytes]] = deque()
        self._bars_per_quantum = 1
        self._bar_credit = 0

    @property
    def pending_bars(self) -> int:
        """Bars that are closed but not yet sent; they drain faster than trades can cause them (see _send_bars)."""
        return len(self._bars)

    def advance(self, now_ms: int, rate: int) -> int:
        """Make the events of one quantum and return how many they were.

        Args:
            now_ms: Beginning of the quantum, Unix milliseconds, a multiple of QUANTUM_MS.
            rate: Events per second.
        """
        self._close_windows(now_ms)
        self._credit += rate * QUANTUM_MS
        count, self._credit = divmod(self._credit, 1_000)
        bars = self._send_bars(count)
        self._trade_and_quote(now_ms, count - bars)
        self.elapsed_ms += QUANTUM_MS
        self.events += count
        return count

    def _trade_and_quote(self, now_ms: int, count: int) -> None:
        draw, cumulated, instruments = self._draw, self._cumulated, self._all
        total, elapsed_ms, day_ms = cumulated[-1], self.elapsed_ms, self._day_ms
        for index in range(count):
            offset_ms = index * QUANTUM_MS // count
            # A draw just below 1 times the total may round up to the total itself; the last one is meant.
            at = min(bisect(cumulated, draw() * total), len(instruments) - 1)
            instrument = instruments[at]
            if draw() < self._quote_share or not instrument.trade(now_ms + offset_ms, elapsed_ms + offset_ms, day_ms):
                instrument.quote(now_ms + offset_ms)

    def _close_windows(self, now_ms: int) -> None:
        second, minute = now_ms // 1_000, now_ms // 60_000
        if self._second is not None and second != self._second:
            self._collect("A", self._second * 1_000)
            if minute != self._minute:
                self._collect("AM", (self._minute or 0) * 60_000)
            self._bars_per_quantum = -(-len(self._bars) // BAR_QUANTA)
        self._second, self._minute = second, minute

    def _collect(self, channel: str, start_ms: int) -> None:
        for instrument in self._all:
            bar = instrument.close_second(start_ms) if channel == "A" else instrument.close_minute(start_ms)
            if bar is not None:
                self._bars.append((instrument, channel, bar))

    def _send_bars(self, count: int) -> int:
        # Bars take at most three quarters of the rate: a trade causes at most one second bar and one minute bar, so at
        # a steady two thirds the queue drains whatever the rate, and trades never stop.
        self._bar_credit = min(self._bar_credit + 3 * count, 3 * count + 4)
        sent = min(len(self._bars), self._bars_per_quantum, self._bar_credit // 4, count)
        self._bar_credit -= 4 * sent
        for _ in range(sent):
            instrument, channel, bar = self._bars.popleft()
            instrument.deliver(channel, bar)
        return sent
