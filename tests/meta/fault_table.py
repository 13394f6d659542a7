"""Reads ``faults.toml``: which fault gives which signal. It must not know the product."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

SIGNALS = ("state", "log", "metric", "alert", "client")


@dataclass(frozen=True)
class Missing:
    """Signals of one fault that do not exist, and why."""

    signals: list[str]
    why: str


@dataclass(frozen=True)
class Row:
    """One fault; a signal is None where ``missing`` has it."""

    name: str
    tests: list[str]
    state: str | None = None
    log: str | None = None
    metric: str | None = None
    alert: str | None = None
    client: str | None = None
    missing: list[Missing] = field(default_factory=list)

    @classmethod
    def of(cls, row: dict[str, object]) -> Row:
        """Make a row of its table."""
        missing = [Missing(**entry) for entry in row.pop("missing", [])]  # type: ignore[attr-defined]
        return cls(**row, missing=missing)  # type: ignore[arg-type]


_FILE = tomllib.loads((Path(__file__).parent / "faults.toml").read_text())
ROWS: list[Row] = [Row.of(row) for row in _FILE["fault"]]
NOT_BUILT: dict[str, int] = _FILE["not_built"]
