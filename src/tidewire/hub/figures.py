"""The hub's counters as pages and metrics read them. Pure; it must not know how they are counted."""

from __future__ import annotations

import msgspec


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
    tasks: int
    failures: dict[str, int]
    shared: dict[str, int] = {}
    presence: dict[str, int] = {}
