"""``tidewire token create|list|revoke``: keys with which programs act. It must not know how keys are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import typer

from tidewire.accounts.api_keys import ApiKeys, NewKey, ShownKey
from tidewire.app.database import opened_database
from tidewire.cli.output import print_json
from tidewire.cli.running import run
from tidewire.cli.table import print_rows
from tidewire.core.clock import SystemClock
from tidewire.settings import Settings, load_settings

app = typer.Typer(help="API keys: programs that act as a user.", no_args_is_help=True)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_COLUMNS = ("id", "name", "user", "permissions", "state", "expires", "last_used")


@app.command("create")
def create(
    username: str,
    name: str = typer.Option(..., help="What will use it, for example `billing`."),
    permission: list[str] = typer.Option(
        [], help="What it may do at most; may be repeated. Without: all that its user may."
    ),
    days: float = typer.Option(365.0, min=0.001, max=3660.0, help="How long it works."),
    as_json: bool = _JSON,
) -> None:
    """Make a key and print it, once."""
    made = run(_create(load_settings(), username, name, permission or None, days))
    if as_json:
        print_json(
            {"key": made.key, "id": made.record.id, "user": made.username, "expires": _iso(made.record.expires_at)}
        )
        return
    typer.echo(made.key)
    typer.echo(f"This is the only time the key is shown. Its id is {made.record.id}.", err=True)


@app.command("list")
def list_all(as_json: bool = _JSON) -> None:
    """List the keys, without their secret part."""
    rows = [
        {
            "id": key.record.id,
            "name": key.record.name,
            "user": key.username,
            "permissions": "all" if key.record.permissions is None else " ".join(sorted(key.record.permissions)),
            "state": key.state,
            "expires": _iso(key.record.expires_at),
            "last_used": "never" if key.record.last_used_at is None else _iso(key.record.last_used_at),
        }
        for key in run(_list(load_settings()))
    ]
    empty = "There is no key yet. Run `tidewire token create USERNAME --name NAME`."
    print_rows(rows, columns=_COLUMNS, as_json=as_json, empty=empty)


@app.command("revoke")
def revoke(key_id: str, as_json: bool = _JSON) -> None:
    """End a key; its connections are closed within seconds."""
    ended = run(_revoke(load_settings(), key_id))
    if as_json:
        print_json({"id": key_id, "revoked": ended})
    else:
        typer.echo(f"Revoked {key_id}." if ended else f"{key_id} had been revoked before.")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


@asynccontextmanager
async def _keys(settings: Settings) -> AsyncIterator[ApiKeys]:
    assert settings.secret_key is not None  # noqa: S101 - load_settings demands it outside the demo
    async with opened_database(settings.database_url) as database:
        yield ApiKeys(database, secret_key=settings.secret_key.get_secret_value(), clock=SystemClock())


async def _create(settings: Settings, username: str, name: str, permissions: list[str] | None, days: float) -> NewKey:
    async with _keys(settings) as keys:
        return await keys.create(username, name, life_s=days * 86_400.0, permissions=permissions)


async def _list(settings: Settings) -> list[ShownKey]:
    async with _keys(settings) as keys:
        return await keys.list_all()


async def _revoke(settings: Settings, key_id: str) -> bool:
    async with _keys(settings) as keys:
        return await keys.revoke(key_id)
