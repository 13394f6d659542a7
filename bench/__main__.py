"""``python -m bench [NAME...] [--json]``: runs the benchmarks one after the other and prints what they found.

A missed bar is said plainly and does not change the exit code: numbers depend on the machine, and who reads
them judges. A benchmark that cannot run at all ends the program with its error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from bench import admin_cost, bus, edits, hub, ingest, nodes, page_load, postgres, publish_to_page, rating, status_api
from bench.measure import Figure, Result, among_others, machine, wait_for_quiet

BENCHMARKS: dict[str, Callable[[], Result]] = {
    "ingest": ingest.run,
    "bus": bus.run,
    "postgres": postgres.run,
    "publish_to_page": publish_to_page.run,
    "status_api": status_api.run,
    "page_load": page_load.run,
    "admin_cost": admin_cost.run,
    "hub": hub.run,
    "nodes": nodes.run,
    "rating": rating.run,
    "edits": edits.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of tables")
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait for a quiet machine, at most this long each",
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    facts = machine()
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 150, highlight=False)
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    console.print(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, {facts['kernel']}")
    console.print(f"Python {facts['python']}; {libraries}")
    console.print(f"{facts['date']}, load average {facts['load_average']}\n")
    results = []
    for name in options.names or BENCHMARKS:
        wait_for_quiet(options.wait)
        console.print(f"running {name} ...")
        results.append(among_others(BENCHMARKS[name]))
        console.print(table(results[-1]))
    missed = [figure for result in results for figure in result.figures if figure.missed_by]
    for figure in missed:
        console.print(f"MISSED by {number(figure.missed_by or 0.0)} {figure.unit}: {figure.what}")
    if not missed:
        console.print("Every bar was met.")
    if options.json:
        print(json.dumps({"machine": facts, "results": [result.plain() for result in results]}, indent=2))
    return 0


def table(result: Result) -> Table:
    """Return the figures as a table, with the parameters below."""
    facts = ", ".join(f"{name} {value}" for name, value in result.parameters.items())
    caption = f"{facts}; cores taken by other programs meanwhile: {result.others_cores}"
    shown = Table(title=result.name, title_justify="left", caption=caption, caption_justify="left")
    for heading in ("figure", "value (runs)", "bar", "", "baseline of the same run", "ratio"):
        shown.add_column(heading, overflow="fold", justify="right" if heading in {"value (runs)", "ratio"} else "left")
    for figure in result.figures:
        baseline = "" if figure.baseline is None else f"{number(figure.baseline)} {figure.baseline_is}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        shown.add_row(figure.what, value(figure), bar(figure), verdict(figure), baseline, ratio)
    return shown


def value(figure: Figure) -> str:
    """Return the value with its unit, and the runs that it is the median of."""
    runs = f" ({' '.join(number(one) for one in figure.runs)})" if figure.runs else ""
    return f"{number(figure.value)} {figure.unit}{runs}"


def bar(figure: Figure) -> str:
    """Return the bar as a sentence fragment."""
    return "" if figure.bar is None else f"{figure.wanted} {number(figure.bar)}"


def verdict(figure: Figure) -> str:
    """Return pass, or by how much the bar was missed."""
    if figure.missed_by is None:
        return ""
    return f"MISSED by {number(figure.missed_by)}" if figure.missed_by else "pass"


def number(amount: float) -> str:
    """Return a number as people read it."""
    if abs(amount) >= 1_000:
        return f"{amount:,.0f}"
    return f"{amount:.1f}" if abs(amount) >= 10 else f"{amount:.2f}"


if __name__ == "__main__":
    sys.exit(main())
