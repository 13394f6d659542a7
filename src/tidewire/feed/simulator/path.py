"""One day's bar becomes a path of trades that hits the bar exactly. Pure: chance and time are arguments.

Four prints are pinned: open first, high and low at drawn moments, close last; between two pins the price is a Brownian
bridge kept inside [low, high]. Sizes follow a U-shaped volume curve and add up to the day's volume exactly.
It must not know tickers, wire formats or how fast a day is replayed.
"""

from __future__ import annotations

from math import sqrt

import msgspec

from tidewire.feed.simulator.chance import Draw, bell

# Prices are whole ten-thousandths of a dollar: the finest step in the real bars, and sums of them are exact.
PRICE_UNIT = 10_000
CENT = 100
# One share for each pinned print.
MIN_VOLUME = 4
# Spread of the bridge, as a share of the day's range per square root of a day. A Brownian motion with volatility v
# has an expected range of about 1.6 v per day (Feller 1951), so 0.6 of the range is the volatility that fits the bar.
VOLATILITY_OF_RANGE = 0.6


class DailyBar(msgspec.Struct, frozen=True, gc=False):
    """One day of one ticker.

    Attributes:
        day: ISO date, or a label if the bar is synthetic.
        open, high, low, close: Ten-thousandths of a dollar.
        volume: Shares, at least MIN_VOLUME.
    """

    day: str
    open: int
    high: int
    low: int
    close: int
    volume: int

    def __post_init__(self) -> None:
        """Refuse what no day can be. Raises ValueError."""
        if not CENT <= self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError(f"{self.day}: low, open, close and high are not in order")
        if self.volume < MIN_VOLUME:
            raise ValueError(f"{self.day}: a volume of {self.volume} is below {MIN_VOLUME} shares")


def volume_share(at: float) -> float:
    """Return the share of a day's volume that has traded by ``at`` (0 open .. 1 close); its slope is U-shaped.

    Three times as much trades per minute at open and close as at noon.
    """
    return 0.6 * at + 0.2 * ((2.0 * at - 1.0) ** 3 + 1.0)


class DayPath:
    """The trades of one day, made one at a time at moments that the caller chooses.

    Args:
        bar: What the day must come out as.
        draw: Chance; the same draws and moments give the same path.
    """

    __slots__ = ("_at", "_draw", "_pins", "_price", "_printed", "bar")

    def __init__(self, bar: DailyBar, draw: Draw) -> None:
        self.bar = bar
        self._draw = draw
        self._at = 0.0
        self._price = bar.open
        self._printed = 0
        early, late = sorted((draw(), draw()))
        extremes = [bar.high, bar.low] if draw() < 0.5 else [bar.low, bar.high]
        # Last one first, so that the next pin is popped from the end.
        self._pins = [(1.0, bar.close), (late, extremes[1]), (early, extremes[0]), (0.0, bar.open)]

    @property
    def finished(self) -> bool:
        """Whether the close has been printed; then the trades made are exactly the bar."""
        return not self._pins

    def print(self, at: float) -> tuple[int, int] | None:
        """Make the next trade.

        Args:
            at: Moment of the day, 0 open .. 1 close; never before the previous one. From 1 on, each call makes one of
                the pinned prints that are still missing, the close last.

        Returns:
            Price (ten-thousandths of a dollar) and size (shares, at least 1), or None if every share that is not
            kept for a pinned print has been traded. Not to be called when finished.
        """
        pin_at, pin_price = self._pins[-1]
        pinned = at >= pin_at
        kept = len(self._pins) - pinned
        left = self.bar.volume - self._printed - kept
        if left < 1:
            return None
        if pinned:
            self._pins.pop()
            self._price = pin_price
        else:
            self._price = self._bridge(at, pin_at, pin_price)
        self._at = min(1.0, max(self._at, at))
        size = left if kept == 0 else min(left, self._size())
        self._printed += size
        return self._price, size

    def _bridge(self, at: float, pin_at: float, pin_price: int) -> int:
        span, step = pin_at - self._at, at - self._at
        price = float(self._price)
        if step > 0.0:
            bar = self.bar
            price += (pin_price - price) * step / span
            price += bell(self._draw) * VOLATILITY_OF_RANGE * (bar.high - bar.low) * sqrt(step * (span - step) / span)
        return max(self.bar.low, min(self.bar.high, round(price / CENT) * CENT))

    def _size(self) -> int:
        # Only part of what the curve allows now, so that sizes differ; the next trades make up for it.
        allowed = self.bar.volume * volume_share(self._at) - self._printed
        return max(1, int(allowed * (0.25 + 0.75 * self._draw())))
