"""Counters of a hub as pages and metrics show them. It must not know who asks."""

from __future__ import annotations

import msgspec

from tidewire.hub.switchboard import Switchboard


class HubStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since start, and what is now. ``shared``: of rooms that other nodes have as well."""

    connections: int
    users: int
    rooms: int
    opened: int
    closed_by_code: dict[str, int]
    published: int
    delivered: int
    outbox_bytes: int
    outbox_peak_bytes: int
    replaced: int
    dropped: int
    given_up: int
    tasks: int
    failures: dict[str, int]
    shared: dict[str, int] = {}
    presence: dict[str, int] = {}
    limit: dict[str, int] = {}


def count(board: Switchboard) -> HubStatistics:
    """Return what a hub has counted since its start, and what is now."""
    return HubStatistics(
        connections=len(board.registry),
        users=board.registry.users(),
        rooms=len(board.rooms),
        opened=board.registry.opened,
        closed_by_code={str(code or "none"): n for code, n in board.registry.closed_by_code.items()},
        published=board.rooms.published,
        delivered=board.rooms.outflow.delivered,
        outbox_bytes=board.budget.held_bytes,
        outbox_peak_bytes=board.budget.peak_bytes,
        replaced=board.budget.replaced,
        dropped=board.budget.dropped,
        given_up=board.budget.given_up,
        tasks=board.tasks,
        shared=board.shared.statistics() if board.shared is not None else {},
        presence=board.presence.statistics() if board.presence is not None else {},
        limit=board.limit.statistics(),
        failures={
            **board.failures,
            **({"flush": board.rooms.outflow.failed} if board.rooms.outflow.failed else {}),
        },
    )
