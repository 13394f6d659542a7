"""One room that this node follows: what belongs together while its channel is heard. It must not know how to read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tidewire.bus.base import Subscription
from tidewire.bus.room_log import Bounds
from tidewire.hub.replica import Replica
from tidewire.hub.room import Room, RoomRules
from tidewire.hub.session import Session


@dataclass(eq=False, slots=True)
class Followed:
    """See the module's text.

    Attributes:
        opening: Done when the room can be entered; set while it is being made ready.
        behind: Whether the log must be read before anything is believed; ``in_step`` is set when it has been.
        under_way: Whether it is being read by a task of its own.
        empty_since: Since when nobody is inside, monotonic seconds.
    """

    room: Room[Session]
    bounds: Bounds
    subscription: Subscription | None = None
    replica: Replica = field(default_factory=Replica)
    opening: asyncio.Future[None] | None = None
    behind: bool = True
    under_way: bool = False
    in_step: asyncio.Event = field(default_factory=asyncio.Event)
    empty_since: float | None = None


def bounds_of(rules: RoomRules) -> Bounds:
    """Return what a log keeps of a room with these rules."""
    return Bounds(rules.history_messages, rules.history_age_s, rules.history_bytes)
