"""``tidewire quotes check-plan``: whether a rating plan can be used. It must not know what a plan says."""

from __future__ import annotations

from pathlib import Path

import typer

from tidewire.cli.output import print_json
from tidewire.quotes.plan_shelf import load_plan

app = typer.Typer(help="Insurance quotes and how they are rated.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Insurance quotes and how they are rated."""


@app.command("check-plan")
def check_plan(
    file: Path = typer.Argument(..., help="A rating plan, TOML; docs/rating.md says what is in it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check a rating plan: every problem with its file, line and reason, and exit code 1; or what the plan covers."""
    plan = load_plan(file)
    if as_json:
        print_json(
            {
                "ok": True,
                "plan": plan.name,
                "digest": plan.digest,
                "product": plan.product,
                "illustrative": plan.illustrative,
                "states": sorted(plan.states),
                "coverages": list(plan.coverages),
                "discounts": list(plan.discounts),
            }
        )
        return
    figures = ", its figures are illustrative" if plan.illustrative else ""
    typer.echo(
        f"{file.name} is good: {plan.name} ({plan.digest}) for {plan.product}{figures}. "
        f"{len(plan.states)} states, {len(plan.coverages)} coverages, {len(plan.discounts)} discounts."
    )
