"""What operators ask of all nodes and do there: lists of connections and rooms, the recently closed, closing,
live traces.

It must not know how pages look, or how nodes talk.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from tidewire.accounts.model import Role
from tidewire.accounts.service import Accounts
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.hub.departures import Departures
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.hub import Hub
from tidewire.hub.nodes import Nodes
from tidewire.hub.room_list import RoomList
from tidewire.hub.traces import Traces
from tidewire.monitoring.connection_routes import PERMISSION, Audit, connection_router
from tidewire.monitoring.departure_routes import departure_router
from tidewire.monitoring.room_routes import room_router
from tidewire.monitoring.trace_routes import trace_router
from tidewire.web.session import session_token_from_scope


class OperatorSide:
    """See the module's text. Made before the nodes are started, because it answers their questions.

    Args:
        audit: Writes an audit line.
    """

    def __init__(
        self, nodes: Nodes, hub: Hub, everywhere: Everywhere, bus: Bus, accounts: Accounts, clock: Clock, audit: Audit
    ) -> None:
        self._nodes = nodes
        self._accounts = accounts
        self._everywhere = everywhere
        self._clock = clock
        self._audit = audit
        self.departures = Departures(nodes, hub)
        self.room_list = RoomList(nodes, hub, clock)
        self.traces = Traces(nodes, hub, bus, clock)

    def routes(self) -> list[APIRouter]:
        """Return the HTTP side."""
        now = self._clock.time
        return [
            # First, because its fixed paths look like ids to the next.
            departure_router(self.departures, self._audit),
            connection_router(self._everywhere, self._nodes, self._audit, now),
            room_router(self.room_list, now),
            trace_router(self.traces, self._audit, self._may_still_manage, now),
        ]

    async def _may_still_manage(self, request: Request) -> bool:
        """Whether the login behind a request is still that of an admin who manages users; not knowing is no."""
        token = session_token_from_scope(request.scope)
        try:
            principal = None if token is None else await self._accounts.load_session(token)
        except StoreError:
            return False
        return principal is not None and principal.role >= Role.ADMIN and principal.can(PERMISSION)
