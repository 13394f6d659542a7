"""What an operator or a feature does with connections and rooms wherever they are: list, find, close, send, count.

Every node answers for itself; what is returned says which nodes did not answer. With one node, or without a broker, it
is the same code with nobody else to ask. It must not know HTTP, accounts or who asks.
Source: contract.md section 6 (``/api/v1/admin/connections``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from tidewire.hub.census import (
    ConnectionQuery,
    ConnectionRow,
    ConnectionsHere,
    cut,
    sort_value,
    whole_row,
)
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes, Reply
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.rooms import Published

_Message = TypeVar("_Message")


class Local(Protocol):
    """What is asked of this node's hub."""

    def list_connections(self, query: ConnectionQuery) -> ConnectionsHere:
        """Return this node's part of a page."""
        ...

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Return one living connection."""
        ...

    def force_disconnect(self, connection_id: str) -> int:
        """Close one connection; return how many that were."""
        ...

    def send_to_user(self, user_id: int, encoded: bytes) -> int:
        """Send to all connections of a user; return how many it reached."""
        ...

    def send_to_connection(self, connection_id: str, encoded: bytes) -> int:
        """Send to one connection; return how many it reached."""
        ...

    def send_to_holders(self, permission: str, encoded: bytes) -> int:
        """Send to every connection whose user has a permission ("": to every connection)."""
        ...

    def user_connections(self, user_id: int) -> int:
        """Return how many connections a user has here or is about to have."""
        ...

    def occupied_rooms(self, prefix: str) -> dict[str, int]:
        """Return the rooms that somebody is in, by prefix of their names, with how many connections are."""
        ...

    def publish_prefix(self, prefix: str, body: bytes, *, kind: str, key: str | None = None) -> int:
        """Send to every room of this node alone; return the reach."""
        ...

    def shares(self, family_prefix: str) -> bool:
        """Whether the rooms with that prefix have one log for all nodes."""
        ...

    async def post(self, room_id: str, body: bytes, *, kind: str, key: str | None = None) -> Published:
        """Send to one room, on whichever nodes it is. Raises BusError."""
        ...


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one node of an answer has: all of it, and what matched."""

    node: str
    instance: str
    total: int
    matching: int


class ConnectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page over all nodes. ``after`` asks for the next one; None: this is the last. ``kept`` are not in ``rows``."""

    rows: list[ConnectionRow]
    kept: list[ConnectionRow]
    matching: int
    after: tuple[float | str, str] | None
    nodes: list[NodeFigures]
    silent: list[Silent]
    cut_off: str


class Kick(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of a connection that is to be closed; ``was_closing``: it was on its way out already."""

    connection: ConnectionRow
    was_closing: bool


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections a message reached; not counted are those of ``silent`` nodes, or of all if ``cut_off``."""

    reached: int
    silent: list[Silent]
    cut_off: str


@dataclass(frozen=True, slots=True)
class Found:
    """One connection or what became of it; None: no node that answered has it."""

    connection: ConnectionRow | None
    was_closing: bool
    silent: list[Silent]
    cut_off: str

    @property
    def certain(self) -> bool:
        """Whether every node that may have it has answered."""
        return not self.silent and not self.cut_off


class _ToUser(msgspec.Struct, frozen=True, array_like=True):
    user_id: int
    encoded: bytes


class _ToConnection(msgspec.Struct, frozen=True, array_like=True):
    connection_id: str
    encoded: bytes


class _ToHolders(msgspec.Struct, frozen=True, array_like=True):
    permission: str
    encoded: bytes


class _ToPrefix(msgspec.Struct, frozen=True, array_like=True):
    prefix: str
    body: bytes
    kind: str
    key: str | None


_encode = msgspec.msgpack.Encoder().encode
_NONE = _encode(None)


class Everywhere:
    """See the module's text.

    Args:
        nodes: The other nodes; its handlers are set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local) -> None:
        self._nodes = nodes
        self._local = local
        nodes.handlers |= {
            "connections": _handler(ConnectionQuery, local.list_connections),
            "connection": _handler(str, self._here),
            "disconnect": _handler(str, self._disconnect_here),
            "send_to_user": _handler(_ToUser, lambda to: local.send_to_user(to.user_id, to.encoded)),
            "send_to_connection": _handler(
                _ToConnection, lambda to: local.send_to_connection(to.connection_id, to.encoded)
            ),
            "send_to_holders": _handler(_ToHolders, lambda to: local.send_to_holders(to.permission, to.encoded)),
            "publish_prefix": _handler(
                _ToPrefix,
                lambda to: local.publish_prefix(to.prefix, to.body, kind=to.kind, key=to.key),
            ),
            "users_connections": _handler(list[int], lambda ids: [local.user_connections(each) for each in ids]),
            "occupied": _handler(str, local.occupied_rooms),
        }

    async def connections(self, query: ConnectionQuery, node: str = "") -> ConnectionPage:
        """Return a page of the connections of all nodes, or of those with that name or instance."""
        replies = await self._nodes.ask("connections", _encode(query))
        parts = [(reply, _read(reply, ConnectionsHere)) for reply in replies.answers if _is(reply, node)]
        rows = {row.connection_id: _placed(row, reply) for reply, part in parts for row in part.rows}
        order = [(sort_value(row, query.sort), connection_id) for connection_id, row in rows.items()]
        page = cut(order, query.after, query.limit, descending=query.descending)
        # Every part is as long as a page, so whatever follows on any node is in ``rows`` or behind a full part.
        more = len(rows) > len(page) or any(len(part.rows) >= query.limit < part.matching for _, part in parts)
        shown = [rows.pop(connection_id) for _, connection_id in page]
        kept = [_placed(row, reply) for reply, part in parts for row in part.kept]
        return ConnectionPage(
            rows=shown,
            kept=kept + [row for connection_id, row in rows.items() if connection_id in query.keep],
            matching=sum(part.matching for _, part in parts),
            after=page[-1] if page and more else None,
            nodes=[_figures(reply, part.total, part.matching) for reply, part in parts],
            silent=[each for each in replies.silent if node in ("", each.node, each.instance)],
            cut_off=replies.cut_off,
        )

    async def connection(self, connection_id: str) -> Found:
        """Find one connection on any node."""
        replies = await self._nodes.ask("connection", _encode(connection_id), enough=_is_something)
        for reply in replies.answers:
            if reply.payload != _NONE:
                row = _read(reply, ConnectionRow)
                return Found(_placed(row, reply), False, [], "")
        return Found(None, False, replies.silent, replies.cut_off)

    async def disconnect(self, connection_id: str) -> Found:
        """Close a connection on whichever node it is (4503); it is closed if that node has said so."""
        replies = await self._nodes.ask("disconnect", _encode(connection_id), enough=_is_something)
        for reply in replies.answers:
            if reply.payload != _NONE:
                kick = _read(reply, Kick)
                return Found(_placed(kick.connection, reply), kick.was_closing, [], "")
        return Found(None, False, replies.silent, replies.cut_off)

    async def connections_elsewhere(self, user_ids: Sequence[int]) -> list[int]:
        """Return how many connections each user has on other nodes; one that does not answer has none that count."""
        replies = await self._nodes.ask("users_connections", _encode(user_ids), patient=False)
        others = [_read(reply, list[int]) for reply in replies.answers if reply.instance != self._nodes.node]
        return [sum(numbers) for numbers in zip(*others, strict=True)] if others else [0] * len(user_ids)

    async def send_to_user(self, user_id: int, encoded: bytes) -> Sent:
        """Send an encoded message to all connections of a user, wherever they are."""
        return await self._send("send_to_user", _ToUser(user_id, encoded))

    async def send_to_connection(self, connection_id: str, encoded: bytes) -> Sent:
        """Send an encoded message to one connection, wherever it is."""
        return await self._send("send_to_connection", _ToConnection(connection_id, encoded), enough=_is_positive)

    async def send_to_holders(self, permission: str, encoded: bytes) -> Sent:
        """Send to every connection whose user has a permission; "" stands for every connection, strangers too."""
        return await self._send("send_to_holders", _ToHolders(permission, encoded))

    async def publish_prefix(self, prefix: str, body: bytes, *, kind: str, key: str | None = None) -> Sent:
        """Send to every room with members, on any node, whose name begins with ``prefix`` (``family:...``).

        Raises:
            BusError: Not all of them were sent it; the text says of the first that was not.
        """
        if not self._local.shares(prefix):
            return await self._send("publish_prefix", _ToPrefix(prefix, body, kind, key))
        replies = await self._nodes.ask("occupied", _encode(prefix))
        reached = Counter[str]()
        for reply in replies.answers:
            reached.update(_read(reply, dict[str, int]))
        for room_id in reached:
            await self._local.post(room_id, body, kind=kind, key=key)
        return Sent(reached=reached.total(), silent=replies.silent, cut_off=replies.cut_off)

    # ---- inside

    async def _send(
        self, what: str, message: msgspec.Struct, *, enough: Callable[[bytes], bool] = lambda _: False
    ) -> Sent:
        replies = await self._nodes.ask(what, _encode(message), enough=enough)
        reached = sum(_read(reply, int) for reply in replies.answers)
        return Sent(reached=reached, silent=replies.silent, cut_off=replies.cut_off)

    def _here(self, connection_id: str) -> ConnectionRow | None:
        info = self._local.connection(connection_id)
        return None if info is None else whole_row(info)

    def _disconnect_here(self, connection_id: str) -> Kick | None:
        info = self._local.connection(connection_id)
        if info is None:
            return None
        return Kick(connection=whole_row(info), was_closing=not self._local.force_disconnect(connection_id))


def _handler(taken: type[_Message], answer: Callable[[_Message], object]) -> Callable[[bytes], bytes]:
    decode = msgspec.msgpack.Decoder(taken).decode
    return lambda payload: _encode(answer(decode(payload)))


def _read(reply: Reply, wanted: type[_Message]) -> _Message:
    return msgspec.msgpack.decode(reply.payload, type=wanted)


def _is_something(payload: bytes) -> bool:
    return payload != _NONE


def _is_positive(payload: bytes) -> bool:
    return msgspec.msgpack.decode(payload, type=int) > 0


def _is(reply: Reply, node: str) -> bool:
    return node in ("", reply.node, reply.instance)


def _placed(row: ConnectionRow, reply: Reply) -> ConnectionRow:
    return msgspec.structs.replace(row, node=reply.node, instance=reply.instance)


def _figures(reply: Reply, total: int, matching: int) -> NodeFigures:
    return NodeFigures(node=reply.node, instance=reply.instance, total=total, matching=matching)
