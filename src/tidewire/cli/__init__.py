"""The commands that people type. It must not hold logic: it reads settings, calls ``app`` or a service, and prints.

Exit codes: 0 done, 1 refused or failed (three sentences on stderr say why and what to do), 2 wrong usage.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tidewire import __version__
from tidewire.cli.output import complain
from tidewire.core.errors import TidewireError

# Name -> what it is of a module beside this one. A module is imported when its command is wanted: all of them together
# take two seconds, and none needs what the others need.
COMMANDS = {
    "user": "users:app",
    "universe": "universes:app",
    "token": "tokens:app",
    "ban": "bans:app",
    "quotes": "quotes:app",
    "check-config": "check:check_config",
    "serve": "serve:serve",
    "feed": "serve:feed",
    "worker": "serve:worker",
    "migrate": "serve:migrate",
    "demo": "demo:demo",
    "simulate": "simulate:simulate",
    "watch": "rooms:watch",
    "publish": "rooms:publish",
}
HIDDEN = frozenset({"worker"})


class _Commands(TyperGroup):
    """The commands of the table above."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, imported if need be; None if there is none of that name."""
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    # What is imported stays: to look through all of it for garbage again and again is a tenth of the start.
    gc.disable()
    try:
        found = getattr(import_module(f"{__name__}.{module}"), attribute)
    finally:
        gc.enable()
    parent = typer.Typer(rich_markup_mode=None, add_completion=False)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=name)
    else:
        parent.command(name, hidden=name in HIDDEN)(found)
        # With a callback it stays a group, whose command is as it would be beside others.
        parent.callback()(_nothing)
    return get_group(parent).commands[name]


def _nothing() -> None:
    pass


app = typer.Typer(
    name="tidewire",
    cls=_Commands,
    help="Market feeds in, rooms out, every connection watched live.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tidewire {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Market feeds in, rooms out, every connection watched live."""


def main() -> None:
    """Run the command line; every refusal becomes three sentences and exit code 1."""
    try:
        app()
    except TidewireError as error:
        complain(error)
        sys.exit(1)
