"""HTTP side of one connection looked at closely: alive, just ended, or long ended and in the database.

It must not know how nodes talk. Source: contract.md section 6; dashboard.md M7.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from tidewire.accounts.model import Principal
from tidewire.core.close_code import CLOSE_CODES
from tidewire.hub.closeup import Closeup, Closeups
from tidewire.hub.departures import ClosedRow
from tidewire.hub.everywhere import Found
from tidewire.monitoring.connection_routes import json_answer, nowhere, require_admin
from tidewire.store.records import ConnectionRecord

# Returns what the database has of a connection. Raises StoreError.
Remember = Callable[[str], Awaitable[ConnectionRecord | None]]


class CloseupAnswer(Closeup, frozen=True, kw_only=True):
    """A connection as it is now, or as it ended. ``at``: when this was so, Unix seconds."""

    at: float


def closeup_router(closeups: Closeups, remember: Remember, now: Callable[[], float]) -> APIRouter:
    """Return the route.

    Args:
        closeups: Asks all nodes.
        remember: Asks the database about one that no node knows any more.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin/connections", tags=["admin"])

    @router.get("/{connection_id}/closeup", summary="One connection, its rooms, and its figures second by second")
    async def closeup(
        _: Annotated[Principal, Depends(require_admin)],
        connection_id: str,
        after: Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)] = 0.0,
    ) -> Response:
        """``after``: figures up to this moment are known already. From the first look on 15 minutes are kept."""
        looked = await closeups.look(connection_id, after)
        found = looked.closeup
        if found is None and not looked.silent and not looked.cut_off:
            record = await remember(connection_id[:32])
            found = None if record is None else Closeup(closed=_ended(record))
        if found is None:
            raise nowhere(connection_id, Found(None, False, looked.silent, looked.cut_off))
        fields = {name: getattr(found, name) for name in Closeup.__struct_fields__}
        return json_answer(CloseupAnswer(**fields, at=now()))

    return router


def _ended(record: ConnectionRecord) -> ClosedRow:
    """Return a connection that only the database remembers; what it missed is not written there."""
    ours = CLOSE_CODES.get(record.close_code) if record.close_code is not None else None
    # A node that was killed could not write the end down; its next life did, without a code.
    closed_at = record.disconnected_at if record.disconnected_at is not None else record.last_activity
    return ClosedRow(
        connection_id=record.connection_id,
        node=record.node,
        user_id=record.user_id,
        username=None,
        ip=record.ip_address,
        user_agent=record.user_agent,
        connected_at=record.connected_at,
        closed_at=closed_at,
        held_s=max(0.0, closed_at - record.connected_at),
        close_code=record.close_code,
        reason="" if ours is None else ours.name,
        meaning="" if ours is None else ours.meaning,
        missed=0,
    )
