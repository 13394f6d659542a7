"""Rows as a table for people or as JSON for programs. It must not know what it prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tidewire.cli.output import print_json


def print_rows(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Print rows as JSON or as a table; ``empty`` says what to do when there are none."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        sys.stdout.write(empty + "\n")
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console().print(table)
