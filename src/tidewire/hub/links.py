"""What connects one node with the others; made by ``app/``. It must not know what goes over it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from tidewire.bus.base import Bus, BusStatus
from tidewire.bus.room_log import LogStatus, RoomLog
from tidewire.bus.room_members import RoomMembers
from tidewire.bus.user_counts import UserCounts


@dataclass(frozen=True, slots=True)
class Links:
    """See the module's text.

    Attributes:
        bus: Live messages.
        log: What rooms remember.
        members: Who is in them; None: presence is each node's own.
        node: What this node is called; shown to people.
        slots: How many connections users have on each node; None: each node limits its own.
        life: Tells this process from an earlier or later one, or another one, of the same name.
    """

    bus: Bus
    log: RoomLog
    members: RoomMembers | None = None
    node: str = "node"
    slots: UserCounts | None = None
    life: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def instance(self) -> str:
        """Return the name of this life of the node, to nodes and to the broker."""
        return f"{self.node}:{self.life}"


def trouble_of(bus: BusStatus, log: LogStatus) -> str:
    """Return why shared rooms cannot be kept up to date, "" if they can."""
    if bus.state == "down" or any(shard.state == "down" for shard in bus.shards):
        return f"bus: {bus.reason}"
    return f"log: {log.reason}" if log.state != "up" else ""
