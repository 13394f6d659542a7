"""How commands print: data as a table or JSON, errors as sentences on stderr. It must not know what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tidewire.core.errors import TidewireError


def print_json(data: Any) -> None:
    """Print ``data`` as one JSON document on stdout."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


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


def complain(error: TidewireError) -> None:
    """Say on stderr what happened, what to do and what will not happen."""
    lines = [f"error: {error.message}"]
    if error.required_action:
        lines.append(f"  to do: {error.required_action}")
    if error.will_not:
        lines.append(f"  note:  {error.will_not}")
    sys.stderr.write("\n".join(lines) + "\n")
