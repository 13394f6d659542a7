"""``tidewire ban list|lift``: the way back in when everybody who could lift a ban is out. It must not know doors."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from tidewire.accounts.bans import Bans
from tidewire.app.database import opened_database
from tidewire.cli.output import print_json
from tidewire.cli.running import run
from tidewire.cli.table import print_rows
from tidewire.core.clock import SystemClock
from tidewire.settings import Settings, load_settings
from tidewire.store.ban_records import Ban

app = typer.Typer(help="Bans: who is kept out, and ending that.", no_args_is_help=True)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_COLUMNS = ("id", "who", "until", "by", "reason")
_SHOWN = 200


@app.command("list")
def list_all(as_json: bool = _JSON) -> None:
    """List the newest 200 bans that are in force."""
    rows = [
        {
            "id": str(ban.id),
            "who": ban.target,
            "until": "lifted" if ban.expires_at is None else _iso(ban.expires_at),
            "by": ban.created_by,
            "reason": ban.reason,
        }
        for ban in run(_list(load_settings()))
    ]
    print_rows(rows, columns=_COLUMNS, as_json=as_json, empty="Nobody is banned.")


@app.command("lift")
def lift(ban_id: int, as_json: bool = _JSON) -> None:
    """End a ban; running nodes let them in again within seconds."""
    lifted = run(_lift(load_settings(), ban_id))
    if as_json:
        print_json({"id": lifted.id, "who": lifted.target, "lifted": True})
    else:
        typer.echo(f"Lifted the ban of {lifted.target}.")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


async def _list(settings: Settings) -> list[Ban]:
    async with opened_database(settings.database_url) as database:
        return (await Bans(database, SystemClock()).page("in_force", "", limit=_SHOWN, before=None)).bans


async def _lift(settings: Settings, ban_id: int) -> Ban:
    async with opened_database(settings.database_url) as database:
        return await Bans(database, SystemClock()).lift(ban_id, None, "")
