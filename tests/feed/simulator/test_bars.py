"""The packaged real bars and the listings made from them."""

from __future__ import annotations

import gzip
import hashlib
import random
from importlib import resources

import pytest

from tidewire.core.errors import SettingsError
from tidewire.feed.simulator.bars import DATA_SHA256, load_real_bars, parse_bars
from tidewire.feed.simulator.listing import MAX_TICKERS, REAL_LABEL, REAL_TAPES, bars_of, list_market, synthetic_bars
from tidewire.feed.simulator.path import PRICE_UNIT


def test_the_real_bars_are_whole() -> None:
    """All 12,154 bars of the five tickers are there, in order of date, with their real prices."""
    bars = load_real_bars()
    assert {symbol: len(days) for symbol, days in bars.items()} == {
        "AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270,
    }  # fmt: skip
    first = bars["AAPL"][0]
    assert (first.day, first.open, first.close, first.volume) == ("2000-03-01", 1_185_600, 1_303_100, 9_616_100)
    assert all(days == sorted(days, key=lambda bar: bar.day) for days in bars.values())


def test_the_notice_names_the_file_that_is_shipped() -> None:
    """The digest stands in the notice, with origin and licence."""
    notice = (resources.files("tidewire.feed.simulator") / "data" / "NOTICE").read_text()
    for words in (DATA_SHA256, "public domain", "Quandl WIKI Prices", REAL_LABEL):
        assert words in notice


@pytest.mark.parametrize(
    "csv",
    ["Ticker,Date\nAAPL,2000-03-01\n", "Ticker,Date,Open,High,Low,Close,Volume\nA,d,1,1,2,1,100\n", "Ticker\nA\n"],
)
def test_a_damaged_row_is_named(csv: str) -> None:
    """A row that is no bar ends the start with a sentence, not with a traceback."""
    packed = gzip.compress(csv.encode())
    with pytest.raises(SettingsError, match="daily bar"):
        parse_bars(packed, sha256=hashlib.sha256(packed).hexdigest())


def test_another_file_is_not_replayed_as_real() -> None:
    """Bytes with another digest are refused."""
    with pytest.raises(SettingsError, match="not the file that was shipped"):
        parse_bars(gzip.compress(b"Ticker\n"))


def test_five_hundred_tickers_are_different_and_labelled() -> None:
    """The real tickers come first, all symbols differ, some have a share class, and each says what it is."""
    listings = list_market(MAX_TICKERS, seed=1)
    assert len({listing.symbol for listing in listings}) == MAX_TICKERS
    assert [listing.symbol for listing in listings[:5]] == list(REAL_TAPES)
    assert {listing.label for listing in listings[:5]} == {REAL_LABEL}
    assert all(listing.kind == "synthetic" and "synthetic" in listing.label for listing in listings[5:])
    assert len([listing for listing in listings if "." in listing.symbol]) >= 10


def test_real_bars_are_looped_and_synthetic_ones_go_on() -> None:
    """After the last real bar comes the first one again; synthetic days are always possible days."""
    real = load_real_bars()
    facebook = next(listing for listing in list_market(5, 1) if listing.symbol == "FB")
    days = bars_of(facebook, real, lambda name: random.Random(name).random)
    replayed = [next(days).day for _ in range(197)]
    assert replayed[0] == replayed[196]
    made_up = synthetic_bars(random.Random(1).random)
    assert all(next(made_up).low > PRICE_UNIT for _ in range(2_000))
