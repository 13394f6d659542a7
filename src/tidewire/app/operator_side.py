"""What operators ask of all nodes and do there: lists of connections and rooms, the recently closed, closing.

It must not know how pages look, or how nodes talk.
"""

from __future__ import annotations

from fastapi import APIRouter

from tidewire.core.clock import Clock
from tidewire.hub.departures import Departures
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.hub import Hub
from tidewire.hub.nodes import Nodes
from tidewire.hub.room_list import RoomList
from tidewire.monitoring.connection_routes import Audit, connection_router
from tidewire.monitoring.departure_routes import departure_router
from tidewire.monitoring.room_routes import room_router


class OperatorSide:
    """See the module's text. Made before the nodes are started, because it answers their questions.

    Args:
        audit: Writes an audit line.
    """

    def __init__(self, nodes: Nodes, hub: Hub, everywhere: Everywhere, clock: Clock, audit: Audit) -> None:
        self._nodes = nodes
        self._everywhere = everywhere
        self._clock = clock
        self._audit = audit
        self.departures = Departures(nodes, hub)
        self.room_list = RoomList(nodes, hub, clock)

    def routes(self) -> list[APIRouter]:
        """Return the HTTP side."""
        now = self._clock.time
        return [
            # First, because its fixed paths look like ids to the next.
            departure_router(self.departures, self._audit),
            connection_router(self._everywhere, self._nodes, self._audit, now),
            room_router(self.room_list, now),
        ]
