"""``tidewire check-config``: what the program would start with, without starting. It must not change anything."""

from __future__ import annotations

import asyncio

import typer

from tidewire.app.lines import plan_lines
from tidewire.cli.output import print_json
from tidewire.cli.table import print_rows
from tidewire.quotes.plan_shelf import load_plans
from tidewire.settings import describe, load_settings


def check_config(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Check the environment, .env and the universes they name; print what would be used, secrets hidden."""
    settings = load_settings()
    lines = asyncio.run(plan_lines(settings))
    plans = load_plans(settings.rating_plans)
    shown = {**describe(settings), "rating plans": ", ".join(plan.name for plan in plans.values())}
    connections = [
        {
            "connection": line.connection_id,
            "name": line.name,
            "enabled": line.enabled,
            "universe": line.universe_key or "",
            "tickers": len(line.tickers),
            "warnings": "; ".join(line.warnings),
        }
        for line in lines
    ]
    if as_json:
        print_json({"ok": True, "settings": shown, "connections": connections})
        return
    rows = [{"key": key, "value": value} for key, value in shown.items()]
    print_rows(rows, columns=("key", "value"), as_json=False, empty="")
    columns = ("connection", "name", "enabled", "universe", "tickers", "warnings")
    print_rows(connections, columns=columns, as_json=False, empty="")
    typer.echo("The configuration is good.")
