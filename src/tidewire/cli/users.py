"""``tidewire user add|passwd|list``: people who may log in. It must not know how passwords are kept."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer

from tidewire.accounts.model import User
from tidewire.accounts.service import Accounts
from tidewire.app.database import opened_database
from tidewire.cli.output import print_json
from tidewire.cli.running import run
from tidewire.cli.table import print_rows
from tidewire.core.errors import InvalidRequest
from tidewire.settings import Settings, load_settings

app = typer.Typer(help="People who may log in.", no_args_is_help=True)
_STDIN = typer.Option(False, "--password-stdin", help="Read the password from the first line of standard input.")
_MUST_CHANGE = typer.Option(
    False, "--must-change", help="It is for somebody else, who must change it at the next login."
)
_JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command("add")
def add(
    username: str,
    role: str = typer.Option("user", help="user, moderator, admin or super."),
    password_stdin: bool = _STDIN,
    must_change: bool = _MUST_CHANGE,
    as_json: bool = _JSON,
) -> None:
    """Add a user; the password is asked for, or read with --password-stdin."""
    settings = load_settings()
    user = run(_add(settings, username, _password(password_stdin), role, must_change=must_change))
    if as_json:
        print_json({"username": user.username, "role": user.role.label, "must_change_password": must_change})
    else:
        typer.echo(f"Added {user.username} with the role {user.role.label}.{_then(must_change)}")


@app.command("passwd")
def passwd(
    username: str, password_stdin: bool = _STDIN, must_change: bool = _MUST_CHANGE, as_json: bool = _JSON
) -> None:
    """Set a user's password and log the user out everywhere."""
    settings = load_settings()
    ended = run(_passwd(settings, username, _password(password_stdin), must_change=must_change))
    if as_json:
        print_json({"username": username, "sessions_ended": ended, "must_change_password": must_change})
    else:
        typer.echo(f"Set the password of {username}; {ended} sessions ended.{_then(must_change)}")


@app.command("list")
def list_all(as_json: bool = _JSON) -> None:
    """List the users."""
    rows = [
        {"username": user.username, "role": user.role.label, "disabled": user.disabled}
        for user in run(_list(load_settings()))
    ]
    empty = "There is no user yet. Run `tidewire user add NAME --role admin`."
    print_rows(rows, columns=("username", "role", "disabled"), as_json=as_json, empty=empty)


def _then(must_change: bool) -> str:
    return "" if not must_change else " The password must be changed at the next login."


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidRequest(
            "There is no terminal to ask for the password.",
            required_action="Use --password-stdin and pipe the password in.",
            will_not="Tidewire will not take a password from the command line, where others can read it.",
        )
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


@asynccontextmanager
async def _accounts(settings: Settings) -> AsyncIterator[Accounts]:
    assert settings.secret_key is not None  # noqa: S101 - load_settings demands it outside the demo
    async with opened_database(settings.database_url) as database:
        yield Accounts(database, secret_key=settings.secret_key.get_secret_value())


async def _add(settings: Settings, username: str, password: str, role: str, *, must_change: bool) -> User:
    async with _accounts(settings) as accounts:
        return await accounts.create_user(username, password, role, must_change=must_change)


async def _passwd(settings: Settings, username: str, password: str, *, must_change: bool) -> int:
    async with _accounts(settings) as accounts:
        return await accounts.set_password(username, password, must_change=must_change)


async def _list(settings: Settings) -> list[User]:
    async with _accounts(settings) as accounts:
        return await accounts.list_users()
