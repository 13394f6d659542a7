"""Configured connections become lines with tickers, or the start ends with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidewire.app.database import opened_database
from tidewire.app.lines import lines_from, plan_lines
from tidewire.core.errors import SettingsError
from tidewire.settings import ConnectionSettings, load_settings
from tidewire.store.universes import Universes

SECRET = "0123456789abcdef0123456789abcdef0123"


def slot(
    n: int, *, universe: str | None = None, symbols: tuple[str, ...] = (), enabled: bool = True
) -> ConnectionSettings:
    """One configured connection."""
    return ConnectionSettings(f"connection_{n}", f"name {n}", enabled, universe, symbols)


def test_universe_is_preferred_to_symbols() -> None:
    """With both configured and the universe known, its members are used, in order."""
    (line,) = lines_from([slot(1, universe="a:b", symbols=("IBM",))], {"a:b": ["MSFT", "AAPL"]})
    assert line.tickers == ("MSFT", "AAPL")
    assert line.warnings == ()


@pytest.mark.parametrize("members", [{}, {"a:b": []}])
def test_unknown_or_empty_universe_with_symbols_warns(members: dict[str, list[str]]) -> None:
    """The symbols are used, and the warning goes where the connection is shown."""
    (line,) = lines_from([slot(1, universe="a:b", symbols=("IBM",))], members)
    assert line.tickers == ("IBM",)
    assert "a:b" in line.warnings[0]


def test_unknown_universe_without_symbols_ends_the_start() -> None:
    """Every such connection is named; nothing is guessed."""
    with pytest.raises(SettingsError) as caught:
        lines_from([slot(1, universe="a:b"), slot(2, universe="c:d"), slot(3, universe="e:f")], {"c:d": ["IBM"]})
    assert "WEBSOCKET_CONNECTION_1_UNIVERSE_KEY=a:b" in caught.value.message
    assert "CONNECTION_2" not in caught.value.message
    assert "CONNECTION_3" in caught.value.message
    assert "universe import" in caught.value.required_action


def test_ticker_on_two_connections_stays_on_the_first() -> None:
    """The second gets a warning that names it."""
    first, second = lines_from([slot(1, symbols=("AAPL", "IBM")), slot(2, symbols=("IBM", "MSFT"))], {})
    assert first.tickers == ("AAPL", "IBM")
    assert second.tickers == ("MSFT",)
    assert "IBM" in second.warnings[0]


def test_disabled_slots_are_kept_and_own_nothing() -> None:
    """A disabled slot is shown; its tickers are free for others, its universe is not demanded."""
    disabled, enabled = lines_from(
        [slot(1, universe="un:known", symbols=("AAPL",), enabled=False), slot(2, symbols=("AAPL",))], {}
    )
    assert (disabled.enabled, disabled.tickers) == (False, ())
    assert enabled.tickers == ("AAPL",)
    assert enabled.warnings == ()


async def test_looking_makes_no_database(tmp_path: Path) -> None:
    """Planning against a database that does not exist yet knows no universe, and leaves no file behind."""
    path = tmp_path / "absent.db"
    settings = load_settings(
        env_file=None,
        use_synthetic_data=True,
        use_massive_api=False,
        secret_key=SECRET,
        database_url=f"sqlite+aiosqlite:///{path}",
        connection_1_enabled=True,
        connection_1_universe_key="market_leaders:two",
    )
    with pytest.raises(SettingsError, match="no such universe"):
        await plan_lines(settings)
    assert not path.exists()


async def test_lines_are_planned_from_the_configured_database(tmp_path: Path) -> None:
    """The universe is read from the database that the settings name."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    async with opened_database(url) as database:
        await Universes(database).replace("market_leaders:two", ["AAPL", "MSFT"], now=1.0)
    settings = load_settings(
        env_file=None,
        use_synthetic_data=True,
        use_massive_api=False,
        secret_key=SECRET,
        database_url=url,
        connection_1_enabled=True,
        connection_1_universe_key="market_leaders:two",
    )
    lines = await plan_lines(settings)
    assert [line.connection_id for line in lines] == ["connection_1", "connection_2", "connection_3"]
    assert lines[0].tickers == ("AAPL", "MSFT")
