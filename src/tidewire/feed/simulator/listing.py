"""Which tickers the simulated market lists: five real ones, then synthetic ones. Pure.

Every listing carries a label that says what it is; it must not know how ticks are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Literal

import msgspec

from tidewire.feed.simulator.chance import Chance, Draw, bell
from tidewire.feed.simulator.path import CENT, PRICE_UNIT, DailyBar

REAL_LABEL = "real daily bars, modelled intraday path"
MAX_TICKERS = 500
# SIP tapes: 1 NYSE, 3 Nasdaq (feed-protocol.md 1.6).
REAL_TAPES = {"AAPL": 3, "MSFT": 3, "IBM": 1, "GOOG": 3, "FB": 3}
_CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
_VOWELS = "AEIOU"
_NAMES = (len(_CONSONANTS) * len(_VOWELS)) ** 2


class Listing(msgspec.Struct, frozen=True):
    """One ticker of the market.

    Attributes:
        symbol: As on the wire.
        kind: ``real`` (its bars happened) or ``synthetic`` (they are made up).
        label: The sentence to show wherever its data is shown.
        tape: SIP tape, 1 NYSE, 2 AMEX, 3 Nasdaq.
        weight: How often it trades, relative to the others.
    """

    symbol: str
    kind: Literal["real", "synthetic"]
    label: str
    tape: int
    weight: float


def list_market(count: int, seed: int) -> list[Listing]:
    """Return ``count`` listings, the real ones first. The symbols are the same for every seed."""
    listings = []
    for rank in range(count):
        real = rank < len(REAL_TAPES)
        symbol = list(REAL_TAPES)[rank] if real else synthetic_symbol(rank)
        listings.append(
            Listing(
                symbol=symbol,
                kind="real" if real else "synthetic",
                label=REAL_LABEL if real else f"synthetic: bars made up from seed {seed}, no such security is meant",
                tape=REAL_TAPES[symbol] if real else 1 + rank % 3,
                # Few tickers trade most, as in life: of 500 the first trades 22 times as often as the last.
                weight=(rank + 1.0) ** -0.5,
            )
        )
    return listings


def synthetic_symbol(rank: int) -> str:
    """Return a made-up symbol, different for every ``rank`` below MAX_TICKERS; each 25th has a class (``BAKO.B``).

    A step that has no factor in common with the number of names visits each name once.
    """
    number = rank * 7919 % _NAMES
    letters = ""
    for alphabet in (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS):
        number, index = divmod(number, len(alphabet))
        letters += alphabet[index]
    return letters if rank % 25 else letters + (".A" if rank % 50 else ".B")


def bars_of(listing: Listing, real: dict[str, list[DailyBar]], chance: Chance) -> Iterator[DailyBar]:
    """Return the endless bars of one listing: the real ones over and over, or synthetic days."""
    if listing.kind == "real":
        return _replay(real[listing.symbol])
    return synthetic_bars(chance(f"bars:{listing.symbol}"))


def synthetic_bars(draw: Draw) -> Iterator[DailyBar]:
    """Make up days for ever: a random walk between 2 and 2,000 dollars, volume around a level of its own."""
    price = 5.0 + 495.0 * draw() ** 3
    level = 200_000.0 * 100.0 ** draw()
    day = 0
    while True:
        day += 1
        start = _inside(price * (1.0 + 0.004 * bell(draw)))
        price = _inside(start * (1.0 + 0.015 * bell(draw)))
        top = max(start, price) * (1.0 + 0.008 * draw())
        bottom = min(start, price) * (1.0 - 0.008 * draw())
        volume = int(level * 2.0 ** (0.5 * bell(draw)))
        yield DailyBar(f"synthetic day {day}", _cents(start), _cents(top), _cents(bottom), _cents(price), volume)


def _replay(bars: Sequence[DailyBar]) -> Iterator[DailyBar]:
    return cycle(bars)


def _inside(price: float) -> float:
    return min(2_000.0, max(2.0, price))


def _cents(price: float) -> int:
    return round(price * PRICE_UNIT / CENT) * CENT
