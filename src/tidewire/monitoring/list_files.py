"""HTTP side of lists as files: the connections, the recently closed and the rooms that the filters show, of all nodes.

A list is gathered whole before the first byte, so that one beyond the bound is refused in words and never cut; what a
silent node keeps back is said in the last line. It must not know how nodes talk. Source: dashboard.md M11.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from msgspec.structs import replace

from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, TidewireError, TooLarge
from tidewire.hub.census import PAGE_MAX, ConnectionQuery, ConnectionRow, sort_value
from tidewire.hub.departures import ClosedQuery, ClosedRow, Departures
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.node_info import Silent
from tidewire.hub.room_list import RoomList, RoomListQuery, RoomRow
from tidewire.monitoring.activity_wire import mask
from tidewire.monitoring.connection_routes import Audit, connection_filters, require_admin, require_node
from tidewire.monitoring.file_export import FileExport, FileRules, Form, Sheet, file_headers, harmless, written
from tidewire.monitoring.room_routes import room_filters

# Held in memory until it is sent: 20,000 connections are about 20 MB. A node names at most as many rooms in one answer.
ROWS_MAX = 20_000
PART_ROWS = 500
_WILL_NOT = "Tidewire will not write a part of a list as if it were all of it; no file was made."
_MOMENTS = frozenset({"connected_at", "last_activity", "expires_at", "closed_at"})

MayStill = Callable[[Request], Awaitable[bool]]
_Row = TypeVar("_Row", bound=msgspec.Struct)
_Text = Annotated[str, Query(max_length=200)]
_Admin = Annotated[Principal, Depends(require_admin)]
_Form = Annotated[Form, Query(alias="format")]


@dataclass(frozen=True, slots=True)
class Lists:
    """Where the lists come from."""

    everywhere: Everywhere
    departures: Departures
    rooms: RoomList


@dataclass(frozen=True, slots=True)
class _Kind(Generic[_Row]):
    """One of the lists.

    Attributes:
        noun: It names the action in the log.
        name: It names the file.
        words: What its rows are called in an error.
        row: What a row is.
        masked: Returns a row whose address has no last part.
    """

    noun: str
    name: str
    words: str
    row: type[_Row]
    masked: Callable[[_Row], _Row]

    def bound(self, count: int) -> None:
        """Raise TooLarge if a file cannot have so many rows."""
        if count > ROWS_MAX:
            raise TooLarge(
                f"The filters show {count:,} {self.words}; a file has at most {ROWS_MAX:,}.",
                required_action="Narrow the filters, for example to one node, and take the list in several files.",
                will_not=_WILL_NOT,
                code="too_many_rows",
                details={"count": count, "most": ROWS_MAX},
            )


_CONNECTIONS = _Kind(
    "connection", "connections", "connections", ConnectionRow, lambda row: replace(row, ip=mask(row.ip))
)
_CLOSED = _Kind("closed", "closed", "closed connections", ClosedRow, lambda row: replace(row, ip=mask(row.ip)))
_ROOMS = _Kind("room", "rooms", "rooms", RoomRow, lambda row: row)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[_Row]):
    """One request for a file: of what, by whom, in which form."""

    kind: _Kind[_Row]
    request: Request
    principal: Principal
    form: Form
    filters: dict[str, object]
    masked: bool


class ListFiles:
    """See the module's text.

    Args:
        audit: Writes an audit line.
        may_still: Whether who asked may still look.
        now: Tells the time, Unix seconds.
    """

    def __init__(
        self, lists: Lists, audit: Audit, may_still: MayStill, now: Callable[[], float], rules: FileRules
    ) -> None:
        self._lists = lists
        self._audit = audit
        self._may_still = may_still
        self._now = now
        self._rules = rules

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

        @router.get("/connections/export", summary="All connections that the filters show, as a file of lines")
        async def connections(
            request: Request,
            principal: _Admin,
            query: Annotated[ConnectionQuery, Depends(connection_filters)],
            form: _Form,
            node: _Text = "",
            mask_addresses: bool = False,
        ) -> StreamingResponse:
            asked = _Asked(_CONNECTIONS, request, principal, form, _filters(query, node=node), mask_addresses)
            return await self._answer(asked, lambda: _connections(self._lists.everywhere, query, node))

        @router.get("/connections/closed/export", summary="All recently closed that the search shows, as a file")
        async def closed(
            request: Request, principal: _Admin, form: _Form, text: _Text = "", mask_addresses: bool = False
        ) -> StreamingResponse:
            asked = _Asked(_CLOSED, request, principal, form, {"text": text} if text else {}, mask_addresses)
            return await self._answer(asked, lambda: _closed(self._lists.departures, text))

        @router.get("/rooms/export", summary="All rooms that the filters show, as a file of lines")
        async def rooms(
            request: Request,
            principal: _Admin,
            query: Annotated[RoomListQuery, Depends(room_filters)],
            form: _Form,
            node: _Text = "",
        ) -> StreamingResponse:
            asked = _Asked(_ROOMS, request, principal, form, _filters(query, node=node), masked=False)
            return await self._answer(asked, lambda: _rooms(self._lists.rooms, query, node))

        return router

    # ---- inside

    async def _answer(
        self, asked: _Asked[_Row], gather: Callable[[], Awaitable[tuple[list[_Row], str]]]
    ) -> StreamingResponse:
        """Gather the rows and answer with the file; both its begin and its end are in the log."""
        kind, masked = asked.kind, asked.masked or self._rules.masked
        action = f"{kind.noun}.export"

        async def note(outcome: str, **more: object) -> None:
            what: dict[str, object] = {"format": asked.form, "filters": asked.filters, "masked": masked}
            details = {"outcome": outcome, **what, **more}
            ip = caller(asked.request)
            await self._audit(principal=asked.principal, action=action, details=details, target=kind.name, ip=ip)

        if not self._rules.allowed:
            await note("refused")
            raise _forbidden(kind.name)
        await note("requested")
        try:
            rows, missing = await gather()
        except TidewireError as error:
            await note("failed", code=error.code)
            raise
        if masked:
            rows = [kind.masked(row) for row in rows]
        columns = tuple(kind.row.__struct_fields__)

        async def parts() -> AsyncGenerator[Sequence[_Row], None]:
            for start in range(0, len(rows), PART_ROWS):
                yield rows[start : start + PART_ROWS]

        lost = "You may not see this list any more."
        sheet = Sheet(columns, lambda row: _cells(row, columns), parts, lost, action)
        made = FileExport(sheet, asked.form, now=self._now, missing=missing)
        chunks = made.chunks(lambda: self._may_still(asked.request), note)
        return StreamingResponse(chunks, media_type=made.media_type, headers=file_headers(kind.name, asked.form))


async def _connections(everywhere: Everywhere, query: ConnectionQuery, node: str) -> tuple[list[ConnectionRow], str]:
    """Return all that match in the order asked for, and why some may lack.

    They are walked in the order of their begin, which nothing moves: rates and queues change between two pages.
    """
    found: dict[str, ConnectionRow] = {}
    silent: dict[str, Silent] = {}
    cut_off = ""
    walk = replace(query, sort="connected_at", descending=False, limit=PAGE_MAX, after=None, keep=())
    while True:
        page = await everywhere.connections(walk, node)
        require_node(page, node)
        _CONNECTIONS.bound(max(page.matching, len(found) + len(page.rows)))
        found |= {row.connection_id: row for row in page.rows}
        silent |= {each.instance: each for each in page.silent}
        cut_off = cut_off or page.cut_off
        if page.after is None:
            break
        walk = replace(walk, after=page.after)

    def place(row: ConnectionRow) -> tuple[float | str, str]:
        return sort_value(row, query.sort), row.connection_id

    return sorted(found.values(), key=place, reverse=query.descending), _missing(list(silent.values()), cut_off)


async def _closed(departures: Departures, text: str) -> tuple[list[ClosedRow], str]:
    page = await departures.closed(ClosedQuery(text=text, limit=ROWS_MAX))
    _CLOSED.bound(page.matching)
    lacking = page.matching - len(page.rows)
    older = f"{lacking} rows are on a node of another version." if lacking > 0 else ""
    return page.rows, _missing(page.silent, page.cut_off) or older


async def _rooms(rooms: RoomList, query: RoomListQuery, node: str) -> tuple[list[RoomRow], str]:
    page = await rooms.whole(query, node, ROWS_MAX)
    require_node(page, node)
    _ROOMS.bound(page.matching)
    return page.rows, _missing(page.silent, page.cut_off)


def _missing(silent: list[Silent], cut_off: str) -> str:
    """Return the sentence on what lacks; empty if nothing does."""
    if silent:
        return "no answer from " + ", ".join(f"{each.node} ({each.instance}, {each.why})" for each in silent) + "."
    return f"{cut_off}." if cut_off else ""


def _filters(query: ConnectionQuery | RoomListQuery, *, node: str) -> dict[str, object]:
    """Return what was asked for, for the log."""
    given = {**msgspec.to_builtins(query), "node": node}
    left_out = ("limit", "after", "keep")
    return {name: value for name, value in given.items() if value and name not in left_out}


def _cells(row: msgspec.Struct, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_cell(name, getattr(row, name)) for name in columns)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return written(value) if name in _MOMENTS else str(value)
    return harmless(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _forbidden(name: str) -> Forbidden:
    return Forbidden(
        f"This server does not let lists be taken away as files ({name}).",
        required_action="Read it on the page, or ask whoever runs the server (TIDEWIRE_EXPORT).",
        will_not="Tidewire will not write any row to a file; that it was asked is in the log.",
        code="export_forbidden",
    )
