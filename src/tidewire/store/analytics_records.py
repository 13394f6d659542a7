"""What analytics' queries are asked and hand up, without any SQL type. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tidewire.store.timing_records import Timing


@dataclass(frozen=True, slots=True)
class Scope:
    """Which quotes, or which time.

    Attributes:
        since: Unix seconds.
        state, product: Empty: all.
    """

    since: float
    state: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of an answer: what of which part, and its figures; what they are is told where they are made."""

    part: str
    key: str
    first: int | None = None
    second: int | None = None
    third: int | None = None
    exact: float | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """How long something took: all of one outcome (``at`` None), or a step of time."""

    kind: str
    outcome: str
    at: int | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins that stand, and the people behind them."""

    sessions: int
    users: int
