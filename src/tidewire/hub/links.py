"""What connects one node with the others; made by ``app/``. It must not know what goes over it."""

from __future__ import annotations

from dataclasses import dataclass

from tidewire.bus.base import Bus
from tidewire.bus.room_log import RoomLog
from tidewire.bus.room_members import RoomMembers


@dataclass(frozen=True, slots=True)
class Links:
    """See the module's text.

    Attributes:
        bus: Live messages.
        log: What rooms remember.
        members: Who is in them; None: presence is each node's own.
        node: What this node is called; shown to people.
    """

    bus: Bus
    log: RoomLog
    members: RoomMembers | None = None
    node: str = "node"
