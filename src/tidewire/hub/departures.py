"""Connections that have ended and those that are to end, on all nodes: the recently closed, and closing many at once.

Every node answers for itself; what is returned says which nodes did not answer. It must not know HTTP, accounts or why
somebody wants a connection closed. Source: contract.md section 5, close codes; dashboard.md M7, M8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tidewire.core.close_code import CLOSE_CODES
from tidewire.hub.census import ConnectionRow, whole_row
from tidewire.hub.everywhere import Kick
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes, Reply
from tidewire.hub.registry import RECENT, ConnectionInfo

# RFC 6455 section 7.4.1; None stands for a connection that was lost without a close frame.
_STANDARD = {1000: "normal", 1001: "going_away", 1005: "no_code", 1006: "lost", 1009: "too_big", 1011: "internal_error"}


class Local(Protocol):
    """What is asked of this node's hub."""

    def recently_closed(self) -> list[ConnectionInfo]:
        """Return the last connections that ended, newest first."""
        ...

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Return one living connection."""
        ...

    def force_disconnect(self, connection_id: str) -> int:
        """Close one connection; return how many that were."""
        ...


class ClosedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the recently closed. ``text``: part of user, address, program, id, or of the reason, in any case."""

    text: str = ""
    limit: int = 50


class ClosedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that has ended.

    Attributes:
        close_code: None: it was lost without a close frame.
        reason: The code's name, as in the close frame; ``lost`` without one.
        meaning: What happened, one sentence; empty if the code is not ours.
        held_s: How long it was open.
    """

    connection_id: str
    node: str = ""
    instance: str = ""
    user_id: int | None
    username: str | None
    ip: str
    user_agent: str
    connected_at: float
    closed_at: float
    held_s: float
    close_code: int | None
    reason: str
    meaning: str
    missed: int


class ClosedHere(msgspec.Struct, frozen=True):
    """One node's part."""

    remembered: int
    matching: int
    rows: list[ClosedRow]


class ClosedPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest of all nodes. ``remembered``: how many they have in all; older ones are in the database."""

    rows: list[ClosedRow]
    remembered: int
    matching: int
    silent: list[Silent]
    cut_off: str


class Kicks(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the connections that were to be closed; ``missing``: no node that answered has them."""

    closed: list[Kick]
    missing: list[str]
    silent: list[Silent]
    cut_off: str


class Departures:
    """See the module's text.

    Args:
        nodes: The other nodes; its handlers are set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local) -> None:
        self._nodes = nodes
        self._local = local
        nodes.handlers |= {
            "closed": lambda payload: _encode(self._closed_here(_closed_query(payload))),
            "disconnect_many": lambda payload: _encode(self._disconnect_here(_ids(payload))),
        }

    async def closed(self, query: ClosedQuery) -> ClosedPage:
        """Return the connections of all nodes that ended last, newest first."""
        replies = await self._nodes.ask("closed", _encode(query))
        parts = [(reply, msgspec.msgpack.decode(reply.payload, type=ClosedHere)) for reply in replies.answers]
        rows = [
            msgspec.structs.replace(row, node=reply.node, instance=reply.instance)
            for reply, part in parts
            for row in part.rows
        ]
        rows.sort(key=lambda row: (-row.closed_at, row.connection_id))
        return ClosedPage(
            rows=rows[: max(0, query.limit)],
            remembered=sum(part.remembered for _, part in parts),
            matching=sum(part.matching for _, part in parts),
            silent=replies.silent,
            cut_off=replies.cut_off,
        )

    async def disconnect(self, connection_ids: Sequence[str]) -> Kicks:
        """Close connections on whichever nodes they are (4503); closed are those whose node has said so."""
        wanted = list(dict.fromkeys(connection_ids))
        replies = await self._nodes.ask("disconnect_many", _encode(wanted))
        closed = {
            kick.connection.connection_id: _placed(kick, reply)
            for reply in replies.answers
            for kick in msgspec.msgpack.decode(reply.payload, type=list[Kick])
        }
        return Kicks(
            closed=[closed[each] for each in wanted if each in closed],
            missing=[each for each in wanted if each not in closed],
            silent=replies.silent,
            cut_off=replies.cut_off,
        )

    # ---- inside

    def _closed_here(self, query: ClosedQuery) -> ClosedHere:
        everything = self._local.recently_closed()
        rows = [closed_row(info) for info in everything]
        if text := query.text.casefold():
            rows = [row for row in rows if _has(row, text)]
        return ClosedHere(len(everything), len(rows), rows[: max(0, min(query.limit, RECENT))])

    def _disconnect_here(self, connection_ids: list[str]) -> list[Kick]:
        kicks = list[Kick]()
        for connection_id in connection_ids:
            info = self._local.connection(connection_id)
            if info is not None:
                row = _short(whole_row(info))
                kicks.append(Kick(connection=row, was_closing=not self._local.force_disconnect(connection_id)))
        return kicks


def closed_row(info: ConnectionInfo) -> ClosedRow:
    """Return an ended connection as a row."""
    closed_at = info.closed_at if info.closed_at is not None else info.last_activity
    ours = CLOSE_CODES.get(info.close_code) if info.close_code is not None else None
    return ClosedRow(
        connection_id=info.connection_id,
        user_id=info.user_id,
        username=info.username,
        ip=info.ip,
        user_agent=info.user_agent,
        connected_at=info.connected_at,
        closed_at=closed_at,
        held_s=max(0.0, closed_at - info.connected_at),
        close_code=info.close_code,
        reason=ours.name if ours is not None else _STANDARD.get(info.close_code or 1006, ""),
        meaning=ours.meaning if ours is not None else "",
        missed=info.replaced + info.dropped + info.given_up,
    )


def _has(row: ClosedRow, text: str) -> bool:
    fields = (row.username or "", row.ip, row.user_agent, row.connection_id, str(row.close_code or ""), row.reason)
    return any(text in field.casefold() for field in fields)


def _short(row: ConnectionRow) -> ConnectionRow:
    """Return the row without its rooms: two hundred rows of a hundred rooms would be megabytes."""
    return msgspec.structs.replace(row, rooms=[])


def _placed(kick: Kick, reply: Reply) -> Kick:
    row = msgspec.structs.replace(kick.connection, node=reply.node, instance=reply.instance)
    return msgspec.structs.replace(kick, connection=row)


_encode = msgspec.msgpack.Encoder().encode
_closed_query = msgspec.msgpack.Decoder(ClosedQuery).decode
_ids = msgspec.msgpack.Decoder(list[str]).decode
