"""The rooms of all nodes as one list: searched, sorted over all of them, cut to a page.

A room may be on several nodes, so no node alone knows its place in the list: each says what its rooms are sorted by,
and then those of the page are described. Rooms that are named (the rows that somebody has in sight) come with the first
answer, so that a page which stays asks once. It must not know HTTP or who asks.
Source: contract.md section 6 (``/api/v1/admin/rooms``).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Literal, Protocol, TypeVar

import msgspec

from tidewire.core.clock import Clock
from tidewire.core.protocol import Delivery
from tidewire.hub.census import PAGE_MAX, cut
from tidewire.hub.everywhere import NodeFigures
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes, Replies, Reply
from tidewire.hub.room import Room
from tidewire.hub.room_rates import RoomRates
from tidewire.hub.rooms import RoomInfo
from tidewire.hub.session import Session

RoomSortKey = Literal[
    "room_id", "members", "present", "offset", "published", "messages_per_second", "history_messages", "history_bytes"
]
# What one node tells of its rooms in one answer: 30 bytes each, so 0.6 MB. Beyond it the order is that of a part.
FIGURES_MAX = 20_000
_SUMMED: frozenset[str] = frozenset({"members"})
_Wanted = TypeVar("_Wanted")


class RoomListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rooms, in which order. An empty text matches all.

    Attributes:
        prefix: How the name begins.
        text: Part of the name, in any case.
        after: Sort value and name of the last row of the page before.
        keep: Rooms that are wanted beside the page, whatever they match, as far as they exist.
    """

    prefix: str = ""
    text: str = ""
    sort: RoomSortKey = "room_id"
    descending: bool = False
    limit: int = 50
    after: tuple[float, str] | None = None
    keep: tuple[str, ...] = ()


class RoomHere(RoomInfo, frozen=True, kw_only=True):
    """A room as one node has it. ``messages_per_second`` is None until it can be told."""

    messages_per_second: float | None


class RoomOnNode(RoomHere, frozen=True, kw_only=True):
    """A room as one node has it; ``members`` are that node's connections."""

    node: str
    instance: str


class RoomRow(msgspec.Struct, frozen=True, kw_only=True):
    """A room on all nodes.

    Attributes:
        members: Connections in it, on all nodes that answered.
        present: Users who count as present; the same on every node that shares the room.
        published, messages_per_second: Of the node that has seen most; nodes that share a room see the same messages.
        epoch, offset, history_messages, history_bytes: Of the node that is furthest.
        agreed: Whether all nodes are in the same epoch; offsets may differ by what is on its way.
    """

    room_id: str
    members: int
    present: int
    epoch: str
    offset: int
    delivery: Delivery
    published: int
    messages_per_second: float | None
    history_messages: int
    history_bytes: int
    agreed: bool
    nodes: list[RoomOnNode]


class RoomPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page over all nodes.

    Attributes:
        kept: Rooms of ``keep`` that exist and are not on the page.
        matching: Rooms that match, each once, however many nodes have it.
        after: Asks for the next page; None: this is the last.
        exact: Every node has told of all its rooms; otherwise the order is that of the rooms told of.
    """

    rows: list[RoomRow]
    kept: list[RoomRow]
    matching: int
    after: tuple[float, str] | None
    exact: bool
    nodes: list[NodeFigures]
    silent: list[Silent]
    cut_off: str


class RoomFigures(msgspec.Struct, frozen=True):
    """What one node's rooms are sorted by, and its rooms of ``keep``."""

    total: int
    matching: int
    values: dict[str, float]
    kept: list[RoomHere]


class Local(Protocol):
    """What is asked of this node's hub."""

    def each_room(self) -> Iterable[Room[Session]]:
        """Return every room."""
        ...

    def room(self, room_id: str) -> RoomInfo | None:
        """Describe one room."""
        ...


class RoomList:
    """See the module's text.

    Args:
        nodes: The other nodes; its handlers are set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local, clock: Clock) -> None:
        self._nodes = nodes
        self._local = local
        self._clock = clock
        self._rates = RoomRates()
        nodes.handlers |= {
            "room_figures": lambda payload: _encode(self._figures_here(_query(payload))),
            "room_rows": lambda payload: _encode(self._rows_here(_names(payload))),
        }

    async def page(self, query: RoomListQuery, node: str = "") -> RoomPage:
        """Return a page of the rooms of all nodes, or of those with that name or instance."""
        told = await self._nodes.ask("room_figures", _encode(query))
        parts = [(reply, _read(reply, RoomFigures)) for reply in told.answers if node in _names_of(reply)]
        values = _joined_values([part.values for _, part in parts], summed=query.sort in _SUMMED)
        limit = max(0, min(query.limit, PAGE_MAX))
        order = ((value, name) for name, value in values.items())
        page = cut(order, query.after, limit + 1, descending=query.descending)
        more, page = len(page) > limit, page[:limit]
        found: dict[str, list[RoomOnNode]] = {}
        for reply, part in parts:
            _note(found, reply, part.kept)
        unknown = [name for _, name in page if name not in query.keep]
        second = await self._nodes.ask("room_rows", _encode(unknown)) if unknown else Replies([], [], "")
        for reply in second.answers:
            if node in _names_of(reply):
                _note(found, reply, _read(reply, list[RoomHere]))
        rows = [_joined(found[name]) for _, name in page if name in found]
        shown = {row.room_id for row in rows}
        return RoomPage(
            rows=rows,
            kept=[_joined(found[name]) for name in query.keep if name in found and name not in shown],
            matching=len(values),
            after=(float(page[-1][0]), page[-1][1]) if page and more else None,
            exact=all(len(part.values) == part.matching for _, part in parts),
            nodes=[
                NodeFigures(node=reply.node, instance=reply.instance, total=part.total, matching=part.matching)
                for reply, part in parts
            ],
            silent=[each for each in _silent(told, second) if node in ("", each.node, each.instance)],
            cut_off=told.cut_off or second.cut_off,
        )

    async def whole(self, query: RoomListQuery, node: str, most: int) -> RoomPage:
        """Return all rooms that match, in order; more than ``most``: none, and ``matching`` says how many there are."""
        told = await self._nodes.ask("room_figures", _encode(msgspec.structs.replace(query, keep=(), after=None)))
        parts = [(reply, _read(reply, RoomFigures)) for reply in told.answers if node in _names_of(reply)]
        names = list(_joined_values([part.values for _, part in parts], summed=False))
        matching = max([len(names), *(part.matching for _, part in parts)])
        found: dict[str, list[RoomOnNode]] = {}
        silent, cut_off = list(told.silent), told.cut_off
        for start in range(0, len(names) if matching <= most else 0, PAGE_MAX):
            rest = await self._nodes.ask("room_rows", _encode(names[start : start + PAGE_MAX]))
            for reply in rest.answers:
                if node in _names_of(reply):
                    _note(found, reply, _read(reply, list[RoomHere]))
            silent, cut_off = _silent(Replies([], silent, ""), rest), cut_off or rest.cut_off
        rows = sorted(map(_joined, found.values()), key=_sorted_by(query.sort), reverse=query.descending)
        return RoomPage(
            rows=rows,
            kept=[],
            matching=matching,
            after=None,
            exact=all(len(part.values) == part.matching for _, part in parts),
            nodes=[],
            silent=[each for each in silent if node in ("", each.node, each.instance)],
            cut_off=cut_off,
        )

    # ---- inside

    def _figures_here(self, query: RoomListQuery) -> RoomFigures:
        now, everything = self._clock.monotonic(), list(self._local.each_room())
        self._rates.observe(now, ((room.room_id, room.published) for room in everything))
        text = query.text.casefold()
        chosen = [room for room in everything if room.room_id.startswith(query.prefix)]
        if text:
            chosen = [room for room in chosen if text in room.room_id.casefold()]
        value_of = self._value(query.sort, now)
        values = {room.room_id: value_of(room) for room in chosen}
        if len(values) > FIGURES_MAX:
            best = heapq.nlargest if query.descending else heapq.nsmallest
            values = dict(best(FIGURES_MAX, values.items(), key=lambda item: (item[1], item[0])))
        return RoomFigures(len(everything), len(chosen), values, self._rows_here(list(query.keep[:PAGE_MAX])))

    def _rows_here(self, names: list[str]) -> list[RoomHere]:
        now, rows = self._clock.monotonic(), list[RoomHere]()
        for name in names:
            info = self._local.room(name)
            if info is not None:
                rate = self._rates.rate(name, info.published, now)
                rows.append(RoomHere(**msgspec.structs.asdict(info), messages_per_second=rate))
        return rows

    def _value(self, sort: RoomSortKey, now: float) -> Callable[[Room[Session]], float]:
        """Return what a room is sorted by; by name all are alike, and the name decides."""
        if sort == "room_id":
            return lambda room: 0.0
        if sort == "members":
            return lambda room: float(len(room))
        if sort == "messages_per_second":
            return lambda room: self._rates.rate(room.room_id, room.published, now) or 0.0
        if sort in ("offset", "published"):
            return lambda room: float(getattr(room, sort))

        def described(room: Room[Session]) -> float:
            info = self._local.room(room.room_id)
            return 0.0 if info is None else float(getattr(info, sort))

        return described


def _joined_values(parts: list[dict[str, float]], *, summed: bool) -> dict[str, float]:
    """Return each room's value over all nodes: connections add up, all else is the same room seen more or less far."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            before = values.get(name)
            values[name] = value if before is None else before + value if summed else max(before, value)
    return values


def _sorted_by(sort: RoomSortKey) -> Callable[[RoomRow], tuple[float, str]]:
    """Return the place of a room in a list; by name all are alike, and the name decides."""

    def place(row: RoomRow) -> tuple[float, str]:
        return (0.0 if sort == "room_id" else float(getattr(row, sort) or 0.0), row.room_id)

    return place


def _joined(found: list[RoomOnNode]) -> RoomRow:
    furthest = max(found, key=lambda each: (each.offset, each.instance))
    rates = [each.messages_per_second for each in found if each.messages_per_second is not None]
    return RoomRow(
        room_id=furthest.room_id,
        members=sum(each.members for each in found),
        present=max(each.present for each in found),
        epoch=furthest.epoch,
        offset=furthest.offset,
        delivery=furthest.delivery,
        published=max(each.published for each in found),
        messages_per_second=max(rates, default=None),
        history_messages=furthest.history_messages,
        history_bytes=furthest.history_bytes,
        agreed=len({each.epoch for each in found}) == 1,
        nodes=found,
    )


def _note(found: dict[str, list[RoomOnNode]], reply: Reply, rows: list[RoomHere]) -> None:
    for row in rows:
        placed = RoomOnNode(**msgspec.structs.asdict(row), node=reply.node, instance=reply.instance)
        found.setdefault(row.room_id, []).append(placed)


def _names_of(reply: Reply) -> tuple[str, str, str]:
    """Return what a reply's node may be asked for as."""
    return ("", reply.node, reply.instance)


def _silent(first: Replies, second: Replies) -> list[Silent]:
    return list({each.instance: each for each in (*second.silent, *first.silent)}.values())


def _read(reply: Reply, wanted: type[_Wanted]) -> _Wanted:
    return msgspec.msgpack.decode(reply.payload, type=wanted)


_encode = msgspec.msgpack.Encoder().encode
_query = msgspec.msgpack.Decoder(RoomListQuery).decode
_names = msgspec.msgpack.Decoder(list[str]).decode
