"""A calculation of a quote's premium as the queries hand it up, and the states that it goes through. Pure.

    running -> done          in the transaction that stores the premium
            -> discarded     a fact was changed since
            -> failed        facts are missing, the quote is final, or it could not be stored
            -> timed_out     not ended by its deadline: whoever calculated is gone
            -> superseded    a newer calculation has taken the row, which is no longer this one's

Every end is final. Beginning and storing lock the quote's row, so that a calculation is done or superseded, never both.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tidewire.store.records import JsonValue


class CalculationState(enum.StrEnum):
    """See the module's text."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DISCARDED = "discarded"
    TIMED_OUT = "timed_out"
    SUPERSEDED = "superseded"


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


@dataclass(frozen=True, slots=True)
class NewCalculation:
    """What a calculation is begun with. ``token``: makes its name one that no other installation has."""

    token: str
    actor_id: int | None
    actor: str
    node: str
    started_at: float
    deadline_at: float


@dataclass(frozen=True, slots=True)
class CalculationRequest:
    """What names a request, so that it is done once: who sent it, under which key, and what it said.

    Attributes:
        digest: Of its body, SHA-256 in hex; under the same key another body is another request.
    """

    actor_id: int
    op_id: str
    digest: str


class Begun(NamedTuple):
    """What became of a request for a calculation.

    Attributes:
        superseded: What ran until it began, if anything did.
        repeated: The same request had begun it before; ``record`` is as it was then, and nothing was done now.
    """

    record: CalculationRecord
    superseded: CalculationRecord | None = None
    repeated: bool = False
