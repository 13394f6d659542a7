"""HTTP side of the list of rooms on all nodes. It must not know how nodes talk.

Source: contract.md section 6; dashboard.md M6, M15.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from tidewire.accounts.model import Principal
from tidewire.hub.census import PAGE_MAX
from tidewire.hub.everywhere import NodeFigures
from tidewire.hub.node_info import Silent
from tidewire.hub.room_list import RoomList, RoomListQuery, RoomRow, RoomSortKey
from tidewire.monitoring.connection_routes import (
    json_answer,
    no_cursor,
    read_cursor,
    require_admin,
    require_node,
    write_cursor,
)

_Text = Annotated[str, Query(max_length=200)]


class RoomsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rooms.

    Attributes:
        kept: Those of ``keep`` that exist and are not on the page.
        matching: Rooms that match, each once.
        cursor: Asks for the next page.
        exact: The order is that of all rooms, not of a node's first 20,000.
        complete: Every node has answered.
        at: When this was so, Unix seconds.
    """

    rooms: list[RoomRow]
    kept: list[RoomRow]
    matching: int
    cursor: str | None
    exact: bool
    nodes: list[NodeFigures]
    complete: bool
    silent: list[Silent]
    cut_off: str
    at: float


def room_filters(
    prefix: _Text = "", text: _Text = "", sort: RoomSortKey = "room_id", descending: bool = False
) -> RoomListQuery:
    """Return which rooms are asked for, and in which order."""
    return RoomListQuery(prefix=prefix, text=text, sort=sort, descending=descending)


def room_router(rooms: RoomList, now: Callable[[], float] = time.time) -> APIRouter:
    """Return the route.

    Args:
        rooms: Asks all nodes.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

    @router.get("/rooms", summary="Rooms of all nodes, or of one; searched, sorted and paged by the server")
    async def list_rooms(
        _: Annotated[Principal, Depends(require_admin)],
        asked: Annotated[RoomListQuery, Depends(room_filters)],
        node: _Text = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        cursor: Annotated[str, Query(max_length=400)] = "",
        keep: Annotated[list[Annotated[str, Query(max_length=200)]] | None, Query(max_length=PAGE_MAX)] = None,
    ) -> Response:
        """``text`` is a part of the name; ``keep``, given once for each, names rooms wanted beside the page."""
        query = msgspec.structs.replace(asked, limit=limit, after=_after(cursor), keep=tuple(keep or ()))
        page = await rooms.page(query, node)
        require_node(page, node)
        return json_answer(
            RoomsAnswer(
                rooms=page.rows,
                kept=page.kept,
                matching=page.matching,
                cursor=None if page.after is None else write_cursor(page.after),
                exact=page.exact,
                nodes=page.nodes,
                complete=not page.silent and not page.cut_off,
                silent=page.silent,
                cut_off=page.cut_off,
                at=now(),
            )
        )

    return router


def _after(cursor: str) -> tuple[float, str] | None:
    """Read a cursor. Raises InvalidRequest."""
    after = read_cursor(cursor)
    if after is None:
        return None
    value, name = after
    if isinstance(value, str):
        raise no_cursor()
    return value, name
