"""``tidewire universe import|list``: named lists of tickers. It must not know how a list is stored."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import typer

from tidewire.app.database import opened_database
from tidewire.cli.output import print_json
from tidewire.cli.table import print_rows
from tidewire.core.errors import InvalidRequest
from tidewire.feed.universe import parse_key, parse_universe
from tidewire.settings import load_settings
from tidewire.store.records import ActivityEntry, UniverseChange, UniverseRecord
from tidewire.store.universes import Universes

app = typer.Typer(help="Named lists of tickers that connections subscribe to.", no_args_is_help=True)
# A universe of every US ticker is below 200 KB; far larger is another kind of file.
FILE_MAX_BYTES = 16 * 1024 * 1024


@app.command("import")
def import_file(
    file: Path = typer.Argument(..., help="CSV (a ticker per line, or a header with symbol) or JSON."),
    key: str = typer.Option(..., "--key", help="Its name, such as market_leaders:top_500."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Replace the members of a universe with those of FILE. A file with a bad row changes nothing."""
    settings = load_settings()
    parsed_key = parse_key(key)
    members = parse_universe(_read(file))
    change = asyncio.run(_replace(settings.database_url, parsed_key, [m.symbol for m in members], file.name))
    if as_json:
        print_json({"key": change.key, "added": change.added, "removed": change.removed, "total": change.total})
    else:
        typer.echo(f"{change.key}: {change.total} tickers ({change.added} added, {change.removed} removed).")


@app.command("list")
def list_all(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the universes."""
    records = asyncio.run(_list(load_settings().database_url))
    rows = [
        {
            "key": record.key,
            "tickers": record.member_count,
            "source": record.source,
            "updated": datetime.fromtimestamp(record.updated_at, UTC).isoformat(timespec="seconds"),
        }
        for record in records
    ]
    empty = "There is no universe yet. Run `tidewire universe import FILE --key NAME:PART`."
    print_rows(rows, columns=("key", "tickers", "source", "updated"), as_json=as_json, empty=empty)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > FILE_MAX_BYTES:
            raise InvalidRequest(
                f"{file.name} is larger than {FILE_MAX_BYTES} bytes.",
                required_action="Give a file with one ticker per line.",
                will_not="Tidewire will not import a part of it.",
            )
        return file.read_bytes()
    except OSError as exc:
        raise InvalidRequest(
            f"{file} cannot be read: {exc.strerror or exc}.",
            required_action="Correct the path or its rights.",
            will_not="Tidewire will not change any universe.",
        ) from exc


async def _replace(url: str, key: str, symbols: list[str], source: str) -> UniverseChange:
    now = time.time()
    audit = ActivityEntry(
        at=now, actor="cli", action="universe.import", target=key, details={"source": source, "tickers": len(symbols)}
    )
    async with opened_database(url) as database:
        return await Universes(database).replace(key, symbols, now, source=source, audit=audit)


async def _list(url: str) -> list[UniverseRecord]:
    async with opened_database(url) as database:
        return await Universes(database).list_all()
