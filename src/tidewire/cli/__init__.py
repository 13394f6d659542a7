"""The commands that people type. It must not hold logic: it reads settings, calls ``app`` or a service, and prints.

Exit codes: 0 done, 1 refused or failed (three sentences on stderr say why and what to do), 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer

from tidewire import __version__
from tidewire.cli import check, demo, quotes, rooms, serve, simulate, tokens, universes, users
from tidewire.cli.output import complain
from tidewire.core.errors import TidewireError

app = typer.Typer(
    name="tidewire",
    help="Market feeds in, rooms out, every connection watched live.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(users.app, name="user")
app.add_typer(universes.app, name="universe")
app.add_typer(tokens.app, name="token")
app.add_typer(quotes.app, name="quotes")
app.command("check-config")(check.check_config)
app.command("serve")(serve.serve)
app.command("feed")(serve.feed)
app.command("worker", hidden=True)(serve.worker)
app.command("migrate")(serve.migrate)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("watch")(rooms.watch)
app.command("publish")(rooms.publish)


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
