"""HTTP side of connections on all nodes: the list, one connection, closing it, and the nodes themselves.

An answer that lacks a node names it; a list is then ``complete: false``, and "nobody has this connection" is only said
when everybody has answered. It must not know how nodes talk. Source: contract.md section 6; dashboard.md M6 to M8, M15.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sized
from typing import Annotated, Any, Protocol

import msgspec
import structlog
from fastapi import APIRouter, Depends, Query, Request, Response

from tidewire.accounts.http import caller, require_permission, require_role
from tidewire.accounts.model import Principal, Role
from tidewire.core.cursor import read_place, write_place
from tidewire.core.errors import InvalidRequest, NotFound, TidewireError, Unavailable
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.census import PAGE_MAX, TEXT_KEYS, ConnectionQuery, ConnectionRow, SortKey
from tidewire.hub.everywhere import ConnectionPage, Everywhere, Found, NodeFigures
from tidewire.hub.node_info import NodeShown, Silent
from tidewire.hub.nodes import Nodes

PERMISSION = "users:manage"
_WILL_NOT_GUESS = "Tidewire will not guess what was meant; nothing was done."

require_admin = require_role(Role.ADMIN)
require_manage = require_permission(PERMISSION)
log = structlog.get_logger("tidewire.monitoring")

_Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
_Text = Annotated[str, Query(max_length=200)]
# Two hundred ids with commas; a proxy takes 8 KiB.
_Ids = Annotated[str, Query(max_length=6_000)]
_Admin = Annotated[Principal, Depends(require_admin)]
_Manager = Annotated[Principal, Depends(require_manage)]


class Audit(Protocol):
    """Writes one line of the audit log. Raises a TidewireError if it cannot."""

    async def __call__(
        self, *, principal: Principal, action: str, details: dict[str, object], target: str, ip: str
    ) -> None:
        """Write it; ``details`` are JSON types."""
        ...


class ConnectionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of connections.

    Attributes:
        kept: Those of ``keep`` that live and are not on the page.
        cursor: Asks for the next page.
        complete: Every node has answered.
        at: When this was so, Unix seconds.
    """

    connections: list[ConnectionRow]
    kept: list[ConnectionRow]
    at: float
    matching: int
    cursor: str | None
    nodes: list[NodeFigures]
    complete: bool
    silent: list[Silent]
    cut_off: str


class NodesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that this one knows, itself first, and how each reaches the broker."""

    nodes: list[NodeShown]


class DisconnectBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``disconnect`` takes."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class DisconnectAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The node that held the connection has sent it the close frame.

    Attributes:
        was_closing: It was on its way out already, with another code.
    """

    connection_id: str
    node: str
    instance: str
    username: str | None
    close_code: int
    was_closing: bool


def connection_filters(
    user: _Text = "",
    room: _Text = "",
    ip: _Text = "",
    text: _Text = "",
    slow: bool = False,
    sort: SortKey = "connected_at",
    descending: bool = False,
) -> ConnectionQuery:
    """Return which connections are asked for, and in which order."""
    return ConnectionQuery(user=user, room=room, ip=ip, text=text, slow=slow, sort=sort, descending=descending)


def connection_router(
    everywhere: Everywhere, nodes: Nodes, audit: Audit, now: Callable[[], float] = time.time
) -> APIRouter:
    """Return the routes.

    Args:
        everywhere: Asks all nodes.
        nodes: Knows which there are.
        audit: Writes an audit line.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

    @router.get("/connections", summary="Connections of all nodes, or of one; filtered, sorted and paged by the server")
    async def connections(
        _: _Admin,
        asked: Annotated[ConnectionQuery, Depends(connection_filters)],
        node: _Text = "",
        limit: _Limit = 50,
        cursor: _Text = "",
        keep: _Ids = "",
    ) -> Response:
        """``user`` is a name or a number, ``node`` a name or an instance; ``slow`` keeps those that fall behind.

        ``text``: part of name, address, program or id; ``keep``: ids, with commas, of those wanted beside the page.
        """
        kept = tuple(filter(None, keep.split(",")))
        query = msgspec.structs.replace(asked, limit=limit, after=_after(cursor, asked.sort), keep=kept)
        page = await everywhere.connections(query, node)
        require_node(page, node)
        return json_answer(_connections(page, now()))

    @router.get("/connections/{connection_id}", summary="One connection, on whichever node it is")
    async def connection(_: _Admin, connection_id: str) -> Response:
        found = await everywhere.connection(connection_id)
        return json_answer(found.connection if found.connection is not None else nowhere(connection_id, found))

    @router.post(
        "/connections/{connection_id}/disconnect",
        summary="Close a connection, on whichever node it is (4503)",
        openapi_extra=_DISCONNECT_DOC,
    )
    async def disconnect(request: Request, principal: _Manager, connection_id: str) -> Response:
        reason = _reason(await request.body())
        ip = caller(request)
        return json_answer(await _disconnect(everywhere, audit, principal, connection_id, reason, ip))

    @router.get("/nodes", summary="The nodes, and how each reaches the broker")
    async def list_nodes(_: _Admin) -> Response:
        return json_answer(NodesAnswer(nodes=nodes.shown()))

    return router


async def _disconnect(
    everywhere: Everywhere, audit: Audit, principal: Principal, connection_id: str, reason: str, ip: str
) -> DisconnectAnswer:
    """Close the connection, with a line in the log before and after; without the first nothing is done."""
    action, what = "connection.disconnect", {"reason": reason}

    async def note(outcome: str, **more: object) -> None:
        details: dict[str, object] = {"outcome": outcome, **what, **more}
        await audit(principal=principal, action=action, details=details, target=connection_id, ip=ip)

    await note("requested")
    found = await everywhere.disconnect(connection_id)
    row = found.connection
    try:
        if row is not None:
            await note("done", node=row.node, instance=row.instance, user=row.username)
        else:
            await note("not_found" if found.certain else "unknown", silent=[each.instance for each in found.silent])
    except TidewireError as exc:
        # The request itself is in the log already, and the connection has been closed.
        log.error("audit_outcome_unwritten", action=action, target=connection_id, **exc.describe())
    if row is None:
        raise nowhere(connection_id, found)
    return DisconnectAnswer(
        connection_id=connection_id,
        node=row.node,
        instance=row.instance,
        username=row.username,
        close_code=4503,
        was_closing=found.was_closing,
    )


def nowhere(connection_id: str, found: Found) -> TidewireError:
    """Return why there is nothing to show or close."""
    if found.certain:
        return NotFound(
            f"No node has the connection {connection_id[:64]!r}: it has ended, or it never was.",
            required_action="Look at the list of connections as it is now.",
            will_not="Tidewire will not do anything about it; a new connection has another id.",
            details={"connection": connection_id[:64]},
        )
    missing = ", ".join(f"{each.node} ({each.instance}, {each.why})" for each in found.silent)
    return Unavailable(
        f"Whether a node has the connection {connection_id[:64]!r} is not known: "
        + (f"no answer from {missing}." if missing else f"{found.cut_off}."),
        required_action="Look at the node or at the broker, then try again; a dead node's connections are gone.",
        will_not="Tidewire will not say that it is closed; a node that wakes up may still do what it was asked.",
        code="nodes_silent",
        details={"connection": connection_id[:64]},
    )


def _connections(page: ConnectionPage, at: float) -> ConnectionsAnswer:
    return ConnectionsAnswer(
        connections=page.rows,
        kept=page.kept,
        at=at,
        matching=page.matching,
        cursor=None if page.after is None else write_cursor(page.after),
        nodes=page.nodes,
        complete=not page.silent and not page.cut_off,
        silent=page.silent,
        cut_off=page.cut_off,
    )


_place = msgspec.json.Decoder(tuple[float | str, str])


def write_cursor(after: tuple[float | str, str]) -> str:
    """Return the row after which the next page begins, as a word."""
    return write_place(after)


def read_cursor(cursor: str) -> tuple[float | str, str] | None:
    """Read a cursor; None if there is none. Raises InvalidRequest if it is not a list's."""
    if not cursor:
        return None
    try:
        return read_place(cursor, _place)
    except ValueError as exc:
        raise no_cursor() from exc


def _after(cursor: str, sort: SortKey) -> tuple[float | str, str] | None:
    """Read a cursor. Raises InvalidRequest if it is none, or belongs to another order."""
    after = read_cursor(cursor)
    if after is not None and isinstance(after[0], str) != (sort in TEXT_KEYS):
        raise no_cursor()
    return after


class OfNodes(Protocol):
    """What says of a list which nodes it is of."""

    @property
    def nodes(self) -> Sized:
        """Those that answered."""
        ...

    @property
    def silent(self) -> Sized:
        """Those that did not."""
        ...

    @property
    def cut_off(self) -> str:
        """Why no other node can be heard; empty if they can."""
        ...


def require_node(page: OfNodes, node: str) -> None:
    """Pass unless a list was asked of a node that nobody knows; an empty list would look like a quiet one.

    Raises:
        NotFound: There is no such node.
    """
    if node and not (page.nodes or page.silent or page.cut_off):
        raise no_node(node, "Tidewire will not show an empty list in its place.")


def no_node(node: str, will_not: str) -> NotFound:
    """Return the refusal of a node that nobody knows."""
    return NotFound(
        f"There is no node {node[:64]!r}.",
        required_action="Take one from the list of nodes; a restarted node has another instance.",
        will_not=will_not,
        details={"node": node[:64]},
    )


def no_cursor() -> InvalidRequest:
    """Return the refusal of a cursor that is none of this list."""
    return InvalidRequest(
        "The cursor is not one of this list.",
        required_action="Send the cursor of the answer before with the same sort, or none to begin anew.",
        will_not=_WILL_NOT_GUESS,
    )


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=DisconnectBody).reason
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"Closing a connection needs a reason: {str(exc)[:200]}",
            required_action='Send {"reason": "..."} (1 to 500 characters) as JSON.',
            will_not=_WILL_NOT_GUESS,
        ) from exc


def json_answer(answer: msgspec.Struct | TidewireError) -> Response:
    """Answer with it, for nobody to keep. Raises it if it is an error."""
    if isinstance(answer, TidewireError):
        raise answer
    return Response(msgspec.json.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})


_DISCONNECT_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["reason"],
                    "properties": {"reason": {"type": "string", "minLength": 1, "maxLength": 500}},
                }
            }
        },
    }
}
