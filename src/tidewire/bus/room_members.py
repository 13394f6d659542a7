"""Who is in rooms that several nodes share: each node writes down its own members, and reads those of the others. Pure.

What a node wrote vanishes a few seconds after the node stopped refreshing it. It must not know what members are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

# A dead node's members are gone from the broker after this; with the interval of refreshing and the grace period of
# presence (10 s) on top they have left after 27 s at the latest.
LIFE_S = 12.0
REFRESH_EVERY_S = 5.0


class Attendance(msgspec.Struct, frozen=True):
    """What a refresh says.

    Attributes:
        kept: Whether what this node wrote is still there.
        counts: How many members each living node has written.
    """

    kept: bool
    counts: Mapping[str, int]


class RoomMembers(Protocol):
    """Every call answers within its own deadline or raises BusError."""

    async def write(self, room_id: str, node: str, came: Mapping[str, bytes], left: Collection[str]) -> None:
        """Add and remove members of one node."""
        ...

    async def refresh(self, room_id: str, node: str, others: Sequence[str]) -> Attendance:
        """Keep what ``node`` wrote for another ``LIFE_S``, and say who lives; only ``others`` are counted."""
        ...

    async def read(self, room_id: str, node: str) -> Mapping[str, bytes]:
        """Return the members that a node has written."""
        ...
