"""Lists of one node's connections: filtered, sorted and cut to a page, and pages of several nodes joined.

A page begins after the last row of the one before (not at a number), so that rows that come and go move nothing. Only
the rows of the page are described: a list over ten thousand connections looks at a few fields of each. It must not know
nodes, HTTP or who asks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

import msgspec

from tidewire.accounts.model import Principal
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.session import Session

SortKey = Literal[
    "connected_at",
    "last_activity",
    "messages_in_per_second",
    "messages_out_per_second",
    "queued_bytes",
    "missed",
    "round_trip_ms",
    "rooms",
    "username",
    "ip",
    "user_agent",
]
# Sorted as texts; the others are numbers.
TEXT_KEYS: frozenset[str] = frozenset({"username", "ip", "user_agent"})
# Names of rooms in a row; a row of 100 rooms would be 13 KB, and the connection's own page has them all.
ROOMS_SHOWN = 20
# One message of 200 rows is about 150 KB.
PAGE_MAX = 200

Value = float | str


class ConnectionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which connections, in which order. An empty text matches all.

    Attributes:
        user: A user's name or number, exactly.
        room: The connection is in this room.
        ip: Its address, exactly.
        text: Part of the user's name, the address, the program's name or the connection's id, in any case.
        slow: Only those that read too slowly: something is held back for them, or they did not get something.
        after: Sort value and id of the last row of the page before.
        keep: Ids of connections that are wanted beside the page, whatever they match, as far as they live.
    """

    user: str = ""
    room: str = ""
    ip: str = ""
    text: str = ""
    slow: bool = False
    sort: SortKey = "connected_at"
    descending: bool = False
    limit: int = 50
    after: tuple[Value, str] | None = None
    keep: tuple[str, ...] = ()


class ConnectionRow(ConnectionInfo, frozen=True, kw_only=True):
    """One connection in a list. ``rooms`` has at most 20 of ``room_count``; ``missed`` is all it did not get."""

    node: str = ""
    instance: str = ""
    room_count: int
    missed: int


class ConnectionsHere(msgspec.Struct, frozen=True):
    """One node's part of a page. ``matching`` counts all pages, ``total`` all there are; ``kept`` are beside them."""

    total: int
    matching: int
    rows: list[ConnectionRow]
    kept: list[ConnectionRow] = []


class Living(Protocol):
    """The living connections of a node; see ``registry.Registry``."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __iter__(self) -> Iterator[Session]:
        """Go over all of them."""
        ...

    def get(self, connection_id: str) -> Session | None:
        """Return one."""
        ...


def list_connections(
    living: Living,
    query: ConnectionQuery,
    describe: Callable[[Session], ConnectionInfo],
    *,
    now: float,
    wall: float,
) -> ConnectionsHere:
    """Return one node's part of a page. ``now``: monotonic seconds; ``wall``: Unix seconds."""
    wanted, value_of = _wanted(query), _VALUES[query.sort]
    chosen = [session for session in living if all(holds(session) for holds in wanted)] if wanted else living
    # Not a list: ten thousand pairs that outlive the loop would set off the collector.
    order = ((value_of(session, now, wall), session.connection_id) for session in chosen)
    page = [connection_id for _, connection_id in cut(order, query.after, query.limit, descending=query.descending)]

    def rows_of(ids: Iterable[str]) -> list[ConnectionRow]:
        return [_row(describe(session)) for session in map(living.get, ids) if session is not None]

    kept = dict.fromkeys(query.keep[:PAGE_MAX])
    for connection_id in page:
        kept.pop(connection_id, None)
    return ConnectionsHere(len(living), len(chosen), rows_of(page), rows_of(kept))


def cut(
    order: Iterable[tuple[Value, str]], after: tuple[Value, str] | None, limit: int, *, descending: bool
) -> list[tuple[Value, str]]:
    """Return the page of ``order`` that begins after a row; the values are all numbers or all texts."""
    if after is None:
        rest = order
    elif descending:
        rest = (each for each in order if each < after and each[1] != after[1])
    else:
        # Times are derived from two clocks and may waver in the last digit: the row itself is never shown twice.
        rest = (each for each in order if each > after and each[1] != after[1])
    return (heapq.nlargest if descending else heapq.nsmallest)(_bounded(limit), rest)


def sort_value(row: ConnectionRow, sort: SortKey) -> Value:
    """Return what a described row is sorted by; the same as where it was listed."""
    if sort == "username":
        return row.username or ""
    if sort in TEXT_KEYS:
        text: str = getattr(row, sort)
        return text
    if sort == "rooms":
        return row.room_count
    if sort == "round_trip_ms":
        return -1.0 if row.round_trip_ms is None else row.round_trip_ms
    value: float = getattr(row, sort)
    return value


def whole_row(info: ConnectionInfo) -> ConnectionRow:
    """Return a connection as a row with all its rooms."""
    fields = {name: getattr(info, name) for name in ConnectionInfo.__struct_fields__}
    missed = info.replaced + info.dropped + info.given_up
    return ConnectionRow(**fields, room_count=len(info.rooms), missed=missed)


def _row(info: ConnectionInfo) -> ConnectionRow:
    row = whole_row(info)
    return row if row.room_count <= ROOMS_SHOWN else msgspec.structs.replace(row, rooms=row.rooms[:ROOMS_SHOWN])


def _bounded(limit: int) -> int:
    return max(0, min(limit, PAGE_MAX))


def _wanted(query: ConnectionQuery) -> list[Callable[[Session], bool]]:
    """Return what a connection must hold; nothing for what is not asked, because every connection is looked at."""
    wanted = list[Callable[[Session], bool]]()
    if query.user:
        wanted.append(lambda session: _is_of(session.principal, query.user))
    if query.room:
        wanted.append(lambda session: query.room in session.subscriptions)
    if query.ip:
        wanted.append(lambda session: session.peer.ip == query.ip)
    if query.slow:
        wanted.append(lambda session: _missed(session) > 0 or _queued(session) > 0)
    if text := query.text.casefold():
        wanted.append(lambda session: _has(session, text))
    return wanted


def _is_of(principal: Principal | None, user: str) -> bool:
    return principal is not None and user in (principal.username, str(principal.user_id))


def _has(session: Session, text: str) -> bool:
    principal, peer = session.principal, session.peer
    name = principal.username if principal is not None else ""
    return any(text in field.casefold() for field in (name, peer.ip, peer.user_agent, session.connection_id))


def _queued(session: Session) -> int:
    return session.outbox.statistics().bytes + session.socket.unwritten_bytes()


def _missed(session: Session) -> int:
    held = session.outbox.statistics()
    return held.replaced + held.dropped + held.given_up


def _rate(session: Session, now: float, since: int, until: int) -> float:
    return (until - since) / max(1.0, now - session.marks[0])


# Sort key -> value of a session; the very numbers that ``registry.describe`` puts into its row.
_VALUES: dict[SortKey, Callable[[Session, float, float], Value]] = {
    "connected_at": lambda session, now, wall: session.connected_at,
    "last_activity": lambda session, now, wall: wall - (now - session.lifecycle.last_seen),
    "messages_in_per_second": lambda session, now, wall: _rate(session, now, session.marks[1], session.messages_in),
    "messages_out_per_second": lambda session, now, wall: _rate(session, now, session.marks[2], session.sequence),
    "queued_bytes": lambda session, now, wall: _queued(session),
    "missed": lambda session, now, wall: _missed(session),
    "round_trip_ms": lambda session, now, wall: -1.0 if session.round_trip_ms is None else session.round_trip_ms,
    "rooms": lambda session, now, wall: len(session.subscriptions),
    "username": lambda session, now, wall: session.principal.username if session.principal is not None else "",
    "ip": lambda session, now, wall: session.peer.ip,
    "user_agent": lambda session, now, wall: session.peer.user_agent,
}
