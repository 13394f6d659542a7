"""What is said about a calculation: in the quote's room and over HTTP. Pure. There is no premium in any of it.

Source: contract.md section 5 (``calculation_progress``); docs/protocol.md has an example of each.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidewire.core.protocol import Epoch, Offset, RoomId
from tidewire.store.calculation_record import CalculationRecord, CalculationState

KIND = "calculation_progress"


class CalculationProgressBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a calculation is.

    Attributes:
        serial: The quote's calculations are numbered; a message of a lower number than one seen is out of date.
        stage: The stage that has just been done, or how it ended.
        progress: Per cent; 100 at every end.
        ended: Whether nothing more will come; such a message has a place in the room.
        error: Why, unless it ended well; ``details.fields`` names the facts that are missing or cannot be rated.
    """

    quote_id: str
    calculation_id: str
    serial: int
    based_on_version: int
    stage: str
    progress: int
    ended: bool
    error: dict[str, Any] | None = None


class CalculationProgress(CalculationProgressBody, frozen=True, kw_only=True, tag_field="type", tag=KIND):
    """The same, as a message of the room. Stages have no place and may be missed; ends have one."""

    room_id: RoomId
    timestamp: float
    epoch: Epoch | None = None
    offset: Offset | None = None


class CalculationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A calculation as HTTP shows it.

    Attributes:
        state: ``running``, ``done``, ``failed``, ``discarded`` or ``timed_out``.
        deadline_at: When it ends at the latest; ask again a few seconds after.
    """

    quote_id: str
    calculation_id: str
    serial: int
    based_on_version: int
    state: str
    started_at: float
    deadline_at: float
    ended_at: float | None
    error: dict[str, Any] | None


def progress_body(record: CalculationRecord, stage: str, progress: int) -> bytes:
    """Return a message's members."""
    return msgspec.json.encode(
        CalculationProgressBody(
            quote_id=record.quote_id,
            calculation_id=record.calculation_id,
            serial=record.serial,
            based_on_version=record.based_on_version,
            stage=stage,
            progress=progress,
            ended=record.state != CalculationState.RUNNING,
            error=None if record.error is None else dict(record.error),
        )
    )


def document_of(record: CalculationRecord) -> CalculationDocument:
    """Return a calculation for HTTP."""
    return CalculationDocument(
        quote_id=record.quote_id,
        calculation_id=record.calculation_id,
        serial=record.serial,
        based_on_version=record.based_on_version,
        state=record.state.value,
        started_at=record.started_at,
        deadline_at=record.deadline_at,
        ended_at=record.ended_at,
        error=None if record.error is None else dict(record.error),
    )
