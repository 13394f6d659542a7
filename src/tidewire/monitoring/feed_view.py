"""What this web process knows of the feed, from bus messages alone. Pure; it must not know the bus, viewers or clocks.

Ticks from any program are checked, filed under the line that owns the symbol, numbered and kept (500 per line); the
feed's own status is remembered with its age. Nothing a publisher sends can grow memory: payload size, symbols, lines
and rings are all bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

from tidewire.core.feed_status import FeedStandby, FeedStatus
from tidewire.core.loop_report import LoopReport
from tidewire.monitoring.bus_errors import BusErrors
from tidewire.monitoring.bus_tick import SYMBOL, UNASSIGNED, Malformed, Seen, decode_tick
from tidewire.monitoring.feed_report import FeedReport, is_known_line, parse_standby, parse_status

# Enough for every US stock and then some; the least recently traded is forgotten first.
MAX_SYMBOLS = 20_000
RECENT_PER_LANE = 500
# Longest time without a status before the feed counts as silent; it speaks once a second (dashboard.md: liveness).
SILENT_AFTER_S = 5.0
# Ticks that viewers have on screen can be inspected although their lane's ring has moved on: 20,000 is 10 s at the
# most that one viewer can be shown (80 per 40 ms), minutes at usual rates.
SHOWN_KEPT = 20_000
# More feeds than this wait for nothing.
MAX_STANDBY = 16
_RATE_WINDOW_S = 5


class Lane:
    """Ticks filed under one line, or under ``unassigned``. ``recent`` is a ring: the oldest falls out."""

    __slots__ = ("count", "last_at", "recent")

    def __init__(self) -> None:
        self.count = 0
        self.last_at: float | None = None
        self.recent: deque[Seen] = deque(maxlen=RECENT_PER_LANE)


class FeedView:
    """State of the view.

    Args:
        now: Unix seconds at the start.
        mono: Monotonic seconds at the start.
        max_symbols: How many symbols' last prices are remembered.

    Attributes:
        collecting: Whether accepted ticks are also gathered for viewers (``take_fresh``).
    """

    def __init__(self, *, now: float, mono: float, max_symbols: int = MAX_SYMBOLS) -> None:
        self.errors = BusErrors()
        self.collecting = False
        self.last_id = 0
        self._max_symbols = max_symbols
        self._prices: OrderedDict[str, float] = OrderedDict()
        self._forgotten_symbols = 0
        self._unassigned = Lane()
        self._lanes: dict[str, Lane] = {}
        self._owners: dict[str, str] = {}
        self._tickers: dict[str, list[str]] = {}
        self._fresh: list[Seen] = []
        self._shown: dict[int, Seen] = {}
        self._feed: FeedStatus | None = None
        self._heard_at = now
        self._heard_mono = mono
        self._standby: dict[str, tuple[FeedStandby, float]] = {}
        self._unassigned_counts: deque[int] = deque([0], maxlen=_RATE_WINDOW_S + 1)

    def receive_ticks(self, payloads: Sequence[bytes], now: float) -> None:
        """Take messages of the tick channel, in order. ``now`` is Unix seconds."""
        for payload in payloads:
            try:
                tick = decode_tick(payload, now)
                previous = self._remember(tick.symbol, tick.price)
            except Malformed as exc:
                self.errors.count(payload, str(exc), now)
                continue
            claimed = tick.connection_id
            filed = claimed or self._owners.get(tick.symbol)
            if filed is not None and not self._exists(filed):
                filed = None
            lane = self._lanes[filed] if filed is not None else self._unassigned
            self.last_id += 1
            change = None if previous is None else (tick.price - previous) * 100.0 / previous
            # Only a frame of an existing line can be asked from the feed; for the rest the message is all there is.
            raw = None if tick.frame and claimed is not None and filed is not None else bytes(payload)
            seen = Seen(self.last_id, tick, filed, change, now, raw)
            lane.count += 1
            lane.last_at = now
            lane.recent.append(seen)
            if self.collecting:
                self._fresh.append(seen)

    def receive_status(self, payload: bytes, *, now: float, mono: float) -> None:
        """Take one message of the status channel; a malformed one is counted and changes nothing."""
        try:
            status = parse_status(payload)
        except Malformed as exc:
            self.errors.count(payload, str(exc), now)
            return
        self._feed = status
        # Who leads does not wait any more; what it said a moment ago would show it twice.
        self._standby.pop(status.node, None)
        self._heard_at = now
        self._heard_mono = mono
        self._lanes = {line: self._lanes.get(line) or Lane() for line in status.connections}
        tickers = {line: health.tickers for line, health in status.connections.items()}
        if tickers != self._tickers:
            self._tickers = tickers
            # Reversed, so that a ticker on two lines stays on the first (contract.md section 2).
            self._owners = {symbol: line for line in reversed(tickers) for symbol in tickers[line]}

    def receive_standby(self, payload: bytes, *, now: float, mono: float) -> None:
        """Take one message of a feed that waits; a malformed one is counted and changes nothing."""
        try:
            standby = parse_standby(payload)
        except Malformed as exc:
            self.errors.count(payload, str(exc), now)
            return
        self._standby.pop(standby.node, None)
        self._standby[standby.node] = (standby, mono)
        while len(self._standby) > MAX_STANDBY:
            del self._standby[next(iter(self._standby))]

    def take_fresh(self) -> list[Seen]:
        """Return the ticks gathered since the last call, oldest first."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def fresh_count(self) -> int:
        """How many ticks wait in ``take_fresh``."""
        return len(self._fresh)

    def recent(self) -> dict[str, list[Seen]]:
        """Return the kept ticks of every lane, oldest first."""
        lanes = {line: list(lane.recent) for line, lane in self._lanes.items()}
        if self._unassigned.recent:
            lanes[UNASSIGNED] = list(self._unassigned.recent)
        return lanes

    def lanes(self) -> list[str]:
        """Return every id that ticks can be filed under, ``unassigned`` included."""
        return [*self._lanes, UNASSIGNED]

    def note_shown(self, ticks: Sequence[Seen]) -> None:
        """Keep ticks that a viewer gets, so that they can be inspected later."""
        self._shown.update((seen.id, seen) for seen in ticks)
        while len(self._shown) > SHOWN_KEPT:
            del self._shown[next(iter(self._shown))]

    def find(self, tick_id: int) -> Seen | None:
        """Return the tick numbered ``tick_id`` if it is still kept."""
        shown = self._shown.get(tick_id)
        if shown is not None:
            return shown
        for lane in (*self._lanes.values(), self._unassigned):
            if lane.recent and lane.recent[0].id <= tick_id:
                for seen in lane.recent:
                    if seen.id == tick_id:
                        return seen
        return None

    def tick_second(self) -> None:
        """Close one second of the unassigned rate; called once a second."""
        self._unassigned_counts.append(self._unassigned.count)

    def report(self, *, now: float, mono: float, loops: Mapping[str, LoopReport] | None = None) -> FeedReport:
        """Return the present state of feed and bus as viewers are told."""
        counts = self._unassigned_counts
        rate = (counts[-1] - counts[0]) / max(1, len(counts) - 1)
        return FeedReport(
            now=now,
            feed=self._feed,
            silent_since=self._heard_at if mono - self._heard_mono > SILENT_AFTER_S else None,
            unassigned_count=self._unassigned.count,
            unassigned_rate=rate,
            unassigned_last_at=self._unassigned.last_at,
            errors=self.errors.report(),
            loops=dict(loops or {}),
            standby=tuple(s for s, heard in self._standby.values() if mono - heard <= SILENT_AFTER_S),
        )

    def statistics(self) -> dict[str, int]:
        """Return the sizes of everything that is kept."""
        return {
            "ticks": self.last_id,
            "malformed": self.errors.total,
            "symbols": len(self._prices),
            "symbols_forgotten": self._forgotten_symbols,
            "lanes": len(self._lanes) + 1,
            "recent": len(self._unassigned.recent) + sum(len(lane.recent) for lane in self._lanes.values()),
            "fresh": len(self._fresh),
            "shown": len(self._shown),
        }

    def _exists(self, line: str) -> bool:
        if line in self._lanes:
            return True
        # Before the first status nothing is known; a well-formed claim is believed until the feed speaks.
        if self._feed is None and is_known_line(line):
            self._lanes[line] = Lane()
            return True
        return False

    def _remember(self, symbol: str, price: float) -> float | None:
        """Store the symbol's price and return the one before. Raises Malformed for a name that is no symbol."""
        prices = self._prices
        previous = prices.get(symbol)
        if previous is None:
            if not SYMBOL.fullmatch(symbol):
                raise Malformed("symbol is not a ticker")
            if len(prices) >= self._max_symbols:
                prices.popitem(last=False)
                self._forgotten_symbols += 1
        prices[symbol] = price
        prices.move_to_end(symbol)
        return previous
