"""Which tickers each configured connection is to carry: universes from the database, symbols otherwise.

An unknown or empty universe without symbols ends the start; with symbols they are used, and the warning is shown
wherever the connection is. Source: contract.md section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tidewire.app.database import is_missing, opened_database
from tidewire.core.errors import NotFound, SettingsError
from tidewire.feed.source import LineConfig
from tidewire.settings import ConnectionSettings, Settings
from tidewire.store.database import Database
from tidewire.store.universes import Universes


async def plan_lines(settings: Settings, database: Database | None = None) -> list[LineConfig]:
    """Return every slot with its tickers and warnings; opens the configured database unless one is given
    (and never makes one: looking changes nothing).

    Raises:
        SettingsError: A universe is unknown and no symbols stand in for it; every such connection is named.
        StoreError: The database cannot be read.
    """
    keys = [c.universe_key for c in settings.connections if c.enabled and c.universe_key]
    if database is None:
        if not keys or is_missing(settings.database_url):
            return lines_from(settings.connections, {})
        async with opened_database(settings.database_url) as opened:
            return await plan_lines(settings, opened)
    return lines_from(settings.connections, await _members(Universes(database), keys))


def lines_from(connections: Iterable[ConnectionSettings], members: Mapping[str, Sequence[str]]) -> list[LineConfig]:
    """Return the slots' lines, given the ``members`` of each known universe. Pure. Raises SettingsError."""
    lines, problems = [], []
    owner: dict[str, str] = {}
    for connection in connections:
        tickers, warnings = _tickers(connection, members)
        if connection.enabled and not tickers:
            prefix = f"WEBSOCKET_{connection.connection_id.upper()}"
            problems.append(f"{prefix}_UNIVERSE_KEY={connection.universe_key}: no such universe, or it is empty.")
        lines.append(_line(connection, tickers, warnings, owner))
    if problems:
        raise SettingsError(
            "\n".join(problems),
            required_action="Run `tidewire universe import FILE --key KEY`, correct the key, or add _SYMBOLS.",
            will_not="Tidewire will not connect a line without tickers, nor pick another universe.",
        )
    return lines


def _line(
    connection: ConnectionSettings, tickers: Sequence[str], warnings: list[str], owner: dict[str, str]
) -> LineConfig:
    """Keep a ticker that two connections name on the first, and say so."""
    kept: list[str] = []
    elsewhere: list[str] = []
    for ticker in tickers if connection.enabled else ():
        first = owner.setdefault(ticker, connection.connection_id)
        (kept if first == connection.connection_id else elsewhere).append(ticker)
    if elsewhere:
        shown = ", ".join(elsewhere[:10]) + (" ..." if len(elsewhere) > 10 else "")
        warnings.append(f"{len(elsewhere)} tickers stay on an earlier connection: {shown}")
    return LineConfig(
        connection_id=connection.connection_id,
        name=connection.name,
        enabled=connection.enabled,
        universe_key=connection.universe_key,
        tickers=tuple(kept),
        warnings=tuple(warnings),
    )


def _tickers(connection: ConnectionSettings, members: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], list[str]]:
    key = connection.universe_key
    if not connection.enabled or key is None:
        return connection.symbols, []
    found = members.get(key, ())
    if found:
        return found, []
    if connection.symbols:
        return connection.symbols, [f"The universe {key} is unknown or empty; the configured symbols are used instead."]
    return (), []


async def _members(universes: Universes, keys: Iterable[str]) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for key in dict.fromkeys(keys):
        try:
            found[key] = await universes.members(key)
        except NotFound:
            found[key] = ()
    return found
