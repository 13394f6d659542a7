"""A calculation of a quote's premium as the queries hand it up, and the states that it goes through. Pure.

    running -> storing -> done
       |          |-----> discarded    a fact was changed since, or the quote is final
       |          |-----> failed       the result could not be stored
       |--> failed                     facts are missing, or rating broke
    running, storing -> timed_out      not ended by its deadline: whoever calculated is gone
    running -> (no row) superseded     a newer calculation has taken the row

From ``storing`` on a newer one no longer supersedes it: its result is about to be there.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tidewire.store.records import JsonValue


class CalculationState(enum.StrEnum):
    """See the module's text."""

    RUNNING = "running"
    STORING = "storing"
    DONE = "done"
    FAILED = "failed"
    DISCARDED = "discarded"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"


# How a state is reached: from these, and no others.
BEFORE: Mapping[CalculationState, frozenset[CalculationState]] = {
    CalculationState.STORING: frozenset({CalculationState.RUNNING}),
    CalculationState.DONE: frozenset({CalculationState.STORING}),
    CalculationState.DISCARDED: frozenset({CalculationState.STORING}),
    CalculationState.FAILED: frozenset({CalculationState.RUNNING, CalculationState.STORING}),
    CalculationState.TIMED_OUT: frozenset({CalculationState.RUNNING, CalculationState.STORING}),
}
UNDER_WAY = frozenset({CalculationState.RUNNING, CalculationState.STORING})


@dataclass(frozen=True, slots=True)
class CalculationRecord:
    """One calculation.

    Attributes:
        serial: The quote's calculations are numbered from 1; a higher one is newer.
        based_on_version: The quote's version when it began.
        deadline_at: When it is given up if it has not ended.
        told: Whether its end has been published.
        error: Why it failed, as ``TidewireError.describe`` says it, with ``details``; None unless it did.
    """

    quote_id: str
    serial: int
    calculation_id: str
    state: CalculationState
    based_on_version: int
    actor_id: int | None
    actor: str
    node: str
    started_at: float
    deadline_at: float
    ended_at: float | None = None
    told: bool = False
    error: Mapping[str, JsonValue] | None = None


def name_of(serial: int, token: str) -> str:
    """Return the ``calculation_id`` of a calculation."""
    return f"k{serial}-{token}"


def serial_of(calculation_id: str) -> int:
    """Return the number of a calculation by its name; 0 if the name was not made by ``name_of``."""
    number = calculation_id.partition("-")[0].removeprefix("k")
    return int(number) if number.isascii() and number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class NewCalculation:
    """What a calculation is begun with. ``token``: makes its name one that no other installation has."""

    token: str
    actor_id: int | None
    actor: str
    node: str
    started_at: float
    deadline_at: float
