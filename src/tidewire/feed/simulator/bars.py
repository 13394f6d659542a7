"""Reads the packaged file of real daily bars. It must not know how a day is turned into ticks.

Source: data/NOTICE (public domain; origin and digest).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from importlib import resources

from tidewire.core.errors import SettingsError
from tidewire.feed.simulator.path import PRICE_UNIT, DailyBar

DATA_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"


def load_real_bars() -> dict[str, list[DailyBar]]:
    """Return the real bars by ticker, each list in order of date.

    Raises:
        SettingsError: The packaged file is missing or is not the file that was shipped.
    """
    try:
        packed = (resources.files("tidewire.feed.simulator") / "data" / "daily-bars.csv.gz").read_bytes()
    except OSError as exc:
        raise _damaged(f"cannot be read ({exc.strerror})") from exc
    return parse_bars(packed)


def parse_bars(packed: bytes, *, sha256: str = DATA_SHA256) -> dict[str, list[DailyBar]]:
    """Unpack and parse the file's bytes.

    Args:
        packed: Gzipped CSV with the columns Ticker, Date, Open, High, Low, Close, Volume.
        sha256: Digest that ``packed`` must have, so that nobody replays something else under the label "real".

    Raises:
        SettingsError: The bytes are not what they should be.
    """
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise _damaged("is not the file that was shipped (its SHA-256 differs)")
    bars: dict[str, list[DailyBar]] = {}
    try:
        for row in csv.DictReader(gzip.decompress(packed).decode("ascii").splitlines()):
            bars.setdefault(row["Ticker"], []).append(
                DailyBar(
                    day=row["Date"],
                    open=_price(row["Open"]),
                    high=_price(row["High"]),
                    low=_price(row["Low"]),
                    close=_price(row["Close"]),
                    volume=int(row["Volume"]),
                )
            )
    except (OSError, EOFError, KeyError, TypeError, ValueError) as exc:
        raise _damaged(f"has a row that is no daily bar ({exc})") from exc
    for days in bars.values():
        days.sort(key=lambda bar: bar.day)
    return bars


def _price(text: str) -> int:
    return round(float(text) * PRICE_UNIT)


def _damaged(what: str) -> SettingsError:
    return SettingsError(
        f"The simulator's file of daily bars {what}.",
        required_action="Install Tidewire again; the file belongs to the package.",
        will_not="The simulator will not replay other data under the label of real bars.",
        code="simulator_data_damaged",
    )
