"""Events in, ticks out: order, duplicates, corrections, ownership. Pure; it must not know sockets or the bus.

A trade that repeats a sequence number of its symbol is a duplicate, one that goes back is out of order; both are
counted and dropped, never published (a jump forward is normal). A bar that is sent again with other numbers is a
correction: published if it is the newest of its symbol, else only counted, because a price must not go back in time.
A number that goes back although its trade is a second or more younger is not late: the venue started counting anew
(each New York day, or after a restart), and the trade is published. Quotes, price bands and fair values are decoded
and counted, not published. One intake serves all lines of a source, so a ticker on two lines at once is still
published once.
Source: feed-protocol.md 1.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from tidewire.core.market import Tick
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.massive import Event, MinuteBar, Quote, SecondBar, Trade
from tidewire.feed.session_calendar import session_date

# Ten times the listed US symbols: a stranger who sends ever new symbols must not fill the memory.
MAX_SYMBOLS: Final = 100_000
# Numbers follow the venue's own time stamps, which cannot be a second apart in the wrong order. Without this, a venue
# that restarts within the day would be silent here until it has counted up to where it was.
RESTART_MS: Final = 1_000.0
_BARS: Final = (SecondBar, MinuteBar)
_TIMELY: Final = (Trade, Quote)


class Intake:
    """Turns decoded events into ticks.

    Args:
        owners: Ticker to owning line, live.
        source: What ``Tick.source`` says.
    """

    def __init__(self, owners: Mapping[str, str], source: Literal["massive", "synthetic"] = "massive") -> None:
        self.unassigned = 0
        self._owners = owners
        self._source = source
        self._trades: dict[str, Trade] = {}
        self._bars: dict[tuple[str, str], SecondBar | MinuteBar] = {}

    def take(
        self,
        line: str,
        metrics: LineMetrics,
        events: Sequence[Event],
        *,
        frame: int,
        received: float,
        published: float,
        now: float,
    ) -> list[Tick]:
        """Return the ticks to publish for ``events`` of one frame, in order.

        Args:
            line: The line that received them.
            metrics: Its counters.
            events: As decoded.
            frame: Number of the frame on ``line``; given to ticks that ``line`` owns, 0 to others.
            received: When it was read, Unix seconds.
            published: When the ticks go on, Unix seconds.
            now: Monotonic seconds.
        """
        self._forget_beyond_bound()
        # The loop below runs for every event of the feed: local names, positional arguments, no calls but three.
        trades = self._trades
        get_owner = self._owners.get
        source = self._source
        ticks: list[Tick] = []
        last: Trade | None
        for event in events:
            if type(event) is Trade:
                symbol = event.sym
                last = trades.get(symbol)
                if last is not None and event.q <= last.q and event.q and self._repeats(last, event, metrics):
                    continue
                trades[symbol] = event
                price, word, stamp = event.p, "T", event.t
                volume = event.s if event.ds is None else event.ds
            elif isinstance(event, _BARS):
                if not self._renews(event, metrics):
                    continue
                symbol, price, stamp = event.sym, event.c, event.e
                word = "A" if type(event) is SecondBar else "AM"
                volume = event.v if event.dv is None else event.dv
            else:
                continue
            owner = get_owner(symbol)
            if owner is None:
                self.unassigned += 1
            own = frame if owner == line else 0
            ticks.append(Tick(symbol, price, volume, stamp / 1000.0, source, owner, word, received, published, own))
        # One latency sample per frame, from its last trade or quote; bars are late by design.
        newest = events[-1]
        if isinstance(newest, _TIMELY):
            metrics.latency.add(now, received * 1000.0 - newest.t)
        return ticks

    def _forget_beyond_bound(self) -> None:
        if len(self._trades) > MAX_SYMBOLS or len(self._bars) > MAX_SYMBOLS:
            self._trades.clear()
            self._bars.clear()

    def _repeats(self, last: Trade, event: Trade, metrics: LineMetrics) -> bool:
        if event.q < last.q and event.t - last.t >= RESTART_MS:
            return False
        if event.t > last.t and session_date(event.t / 1000.0) > session_date(last.t / 1000.0):
            return False
        if event.q == last.q:
            metrics.duplicates += 1
        else:
            metrics.out_of_order += 1
        return True

    def _renews(self, bar: SecondBar | MinuteBar, metrics: LineMetrics) -> bool:
        key = ("A" if type(bar) is SecondBar else "AM", bar.sym)
        last = self._bars.get(key)
        if last is not None and bar.s <= last.s:
            if bar == last:
                metrics.duplicates += 1
                return False
            metrics.corrections += 1
            if bar.s < last.s:
                return False
        self._bars[key] = bar
        return True
