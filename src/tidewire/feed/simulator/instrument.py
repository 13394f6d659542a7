"""One ticker's state, from which its trades, quotes and bars are made. Pure; each event is encoded once.

It must not know connections: whoever wants its events puts a callback into ``taps``.
Source: feed-protocol.md 1.6 (field names and units).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidewire.feed.simulator.chance import Draw
from tidewire.feed.simulator.listing import Listing
from tidewire.feed.simulator.path import CENT, PRICE_UNIT, DailyBar, DayPath
from tidewire.feed.simulator.wire import CHANNELS

Tap = Callable[[bytes], None]

# Exchange ids: NYSE, Nasdaq, IEX, Cboe EDGX, and FINRA (4) for trades made off exchange, which carry trfi and trft.
EXCHANGES = (4, 10, 11, 12, 15, 16)
FINRA = 4
# A quote is about two hundredths of a percent wide, and at least one cent.
SPREAD_DIVISOR = 5_000
ROUND_LOT = 100


class Window:
    """Trades of one second or minute, summed: prices in ten-thousandths of a dollar, volume in shares."""

    __slots__ = ("close", "count", "high", "low", "open", "value", "volume")

    def __init__(self, price: int) -> None:
        self.open = self.high = self.low = self.close = price
        self.volume = self.value = self.count = 0

    def add(self, price: int, size: int) -> None:
        """Take in one trade."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size
        self.value += price * size
        self.count += 1

    def merge(self, later: Window) -> None:
        """Take in the window that follows this one."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.value += later.value
        self.count += later.count


class Instrument:
    """One ticker.

    Args:
        listing: What it is.
        bars: Its days, endless.
        draw: Its own chance.
    """

    def __init__(self, listing: Listing, bars: Iterator[DailyBar], draw: Draw) -> None:
        self.listing = listing
        self.symbol = listing.symbol
        # By channel, then by connection id. Deliveries go in the order of subscription.
        self.taps: dict[str, dict[int, Tap]] = {channel: {} for channel in CHANNELS}
        # The newest encoded bar of each channel, so that a press can send it again.
        self.last_bar: dict[str, bytes] = {}
        self.trades = 0
        self.quotes = 0
        self._bars = bars
        self._draw = draw
        self._path = DayPath(next(bars), draw)
        self._price = self._path.bar.open
        self._day_start_ms = 0
        self._day_end_ms = 0
        self._day_volume = 0
        self._day_value = 0
        self._sequence = 0
        self._second: Window | None = None
        self._minute: Window | None = None
        self._trade_head = f'{{"ev":"T","sym":"{self.symbol}","z":{listing.tape},"x":'
        self._quote_head = f'{{"ev":"Q","sym":"{self.symbol}","z":{listing.tape},"bx":'

    @property
    def bar(self) -> DailyBar:
        """The bar that is being replayed."""
        return self._path.bar

    @property
    def price(self) -> float:
        """Price of the last trade, dollars (the day's open before the first)."""
        return self._price / PRICE_UNIT

    def trade(self, t_ms: int, elapsed_ms: int, day_ms: int) -> bool:
        """Make one trade, and move on to the next bar if the day's close has been printed.

        Args:
            t_ms: Timestamp for the wire, Unix milliseconds.
            elapsed_ms: Market time since the start.
            day_ms: Length of a replayed day in market time.

        Returns:
            False if the day has no share left to trade before its next pinned print.
        """
        if self._path.finished:
            self._path = DayPath(next(self._bars), self._draw)
            self._day_end_ms = self._day_volume = self._day_value = 0
        if not self._day_end_ms:
            self._day_start_ms = elapsed_ms
            self._day_end_ms = (elapsed_ms // day_ms + 1) * day_ms
        printed = self._path.print((elapsed_ms - self._day_start_ms) / (self._day_end_ms - self._day_start_ms))
        if printed is None:
            return False
        price, size = printed
        self._price = price
        self.trades += 1
        self._day_volume += size
        self._day_value += price * size
        if self._second is None:
            self._second = Window(price)
        self._second.add(price, size)
        self._sequence += 1 + self.trades % 3
        taps = self.taps["T"]
        if taps:
            event = self._encode_trade(t_ms, price, size)
            for tap in taps.values():
                tap(event)
        return True

    def quote(self, t_ms: int) -> None:
        """Make one quote around the last trade: bid <= last trade <= ask, bid < ask."""
        self.quotes += 1
        self._sequence += 1 + self.quotes % 4
        taps = self.taps["Q"]
        if taps:
            event = self._encode_quote(t_ms)
            for tap in taps.values():
                tap(event)

    def close_second(self, start_ms: int) -> bytes | None:
        """End the second that began at ``start_ms``; return its bar, or None if nothing traded."""
        window, self._second = self._second, None
        if window is None:
            return None
        if self._minute is None:
            self._minute = Window(window.open)
        self._minute.merge(window)
        return self._close("A", window, start_ms, start_ms + 1_000)

    def close_minute(self, start_ms: int) -> bytes | None:
        """End the minute that began at ``start_ms`` (its seconds are closed); return its bar, or None."""
        window, self._minute = self._minute, None
        return None if window is None else self._close("AM", window, start_ms, start_ms + 60_000)

    def deliver(self, channel: str, event: bytes) -> None:
        """Hand an encoded event to everyone who wants the channel."""
        for tap in self.taps[channel].values():
            tap(event)

    def _close(self, channel: str, window: Window, start_ms: int, end_ms: int) -> bytes:
        bar = self.last_bar[channel] = self._encode_bar(channel, window, start_ms, end_ms)
        return bar

    def _mixed(self) -> int:
        # Scatters the sequence number (Knuth, TAOCP 3, 6.4). No draw here: an event that nobody wants is not encoded,
        # and what later events look like must not depend on that.
        return self._sequence * 2_654_435_761 % 4_294_967_296

    def _encode_trade(self, t_ms: int, price: int, size: int) -> bytes:
        exchange = EXCHANGES[self._mixed() % len(EXCHANGES)]
        off_exchange = f',"trfi":202,"trft":{t_ms}' if exchange == FINRA else ""
        # 37 odd lot, 0 regular sale (the vendor's list of trade conditions).
        condition = 37 if size < ROUND_LOT else 0
        return (
            f'{self._trade_head}{exchange},"i":"{self.trades}","p":{price / PRICE_UNIT},"s":{size},"ds":"{size}.0",'
            f'"c":[{condition}],"t":{t_ms},"q":{self._sequence}{off_exchange}}}'
        ).encode()

    def _encode_quote(self, t_ms: int) -> bytes:
        mixed = self._mixed()
        width = max(1, self._price // SPREAD_DIVISOR // CENT) * CENT
        below = mixed % width
        bid = max(CENT, (self._price - below) // CENT * CENT)
        # The quote must hold the trade even where the trade is off the cent grid, so the ask starts above it.
        ask = max(bid + width, -(-self._price // CENT) * CENT)
        sizes = mixed // 65_536 % 400
        return (
            f'{self._quote_head}{EXCHANGES[1 + sizes % 5]},"bp":{bid / PRICE_UNIT},"bs":{1 + sizes % 20},'
            f'"ax":{EXCHANGES[1 + sizes // 80]},"ap":{ask / PRICE_UNIT},"as":{1 + sizes // 20},'
            f'"c":1,"i":[],"t":{t_ms},"q":{self._sequence}}}'
        ).encode()

    def _encode_bar(self, channel: str, window: Window, start_ms: int, end_ms: int) -> bytes:
        volume, day_volume = window.volume, self._day_volume
        return (
            f'{{"ev":"{channel}","sym":"{self.symbol}","v":{volume},"av":{day_volume},'
            f'"op":{self._path.bar.open / PRICE_UNIT},"vw":{round(window.value / volume) / PRICE_UNIT},'
            f'"o":{window.open / PRICE_UNIT},"c":{window.close / PRICE_UNIT},'
            f'"h":{window.high / PRICE_UNIT},"l":{window.low / PRICE_UNIT},'
            f'"a":{round(self._day_value / day_volume) / PRICE_UNIT},"z":{volume // window.count},'
            f'"s":{start_ms},"e":{end_ms},"dv":"{volume}.0","dav":"{day_volume}.0"}}'
        ).encode()
