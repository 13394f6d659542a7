"""What operators ask of all nodes and do there: lists of connections and rooms, the recently closed, closing,
live traces.

It must not know how pages look, or how nodes talk.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request

from tidewire.accounts.bans import Bans
from tidewire.accounts.grants import resolve
from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.service import Accounts
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import InvalidRequest, StoreError
from tidewire.hub.banishment import Banishment
from tidewire.hub.closeup import Closeups
from tidewire.hub.departures import Departures
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.headcount import Headcount, Here
from tidewire.hub.hub import Hub
from tidewire.hub.node_drain import NodeDrains
from tidewire.hub.nodes import Nodes
from tidewire.hub.room import RoomRules
from tidewire.hub.room_list import RoomList
from tidewire.hub.traces import Traces
from tidewire.monitoring.ban_routes import ban_router
from tidewire.monitoring.closeup_routes import Remember, closeup_router
from tidewire.monitoring.connection_routes import PERMISSION, Audit, connection_router
from tidewire.monitoring.departure_routes import departure_router
from tidewire.monitoring.file_export import FileRules
from tidewire.monitoring.frame_verdict import FrameReader
from tidewire.monitoring.list_files import ListFiles, Lists
from tidewire.monitoring.node_routes import NodeRoutes
from tidewire.monitoring.room_routes import room_router
from tidewire.monitoring.trace_routes import TraceRoutes
from tidewire.web.session import session_token_from_scope


class OperatorSide:
    """See the module's text. Made before the nodes are started, because it answers their questions.

    Args:
        audit: Writes an audit line.
        rules: Room family -> rules.
        remember: Returns what the database has of a connection.
        reader: Knows the messages of the contract.
        files: What is allowed of lists as files.
    """

    def __init__(
        self,
        nodes: Nodes,
        hub: Hub,
        everywhere: Everywhere,
        bus: Bus,
        accounts: Accounts,
        bans: Bans,
        clock: Clock,
        audit: Audit,
        rules: Mapping[str, RoomRules],
        remember: Remember,
        reader: FrameReader,
        files: FileRules,
    ) -> None:
        self._nodes = nodes
        self._accounts = accounts
        self._everywhere = everywhere
        self._clock = clock
        self._audit = audit
        self._bans = bans
        self._rules = rules
        self._remember = remember
        self._reader = reader
        self._files = files
        self.banishment = Banishment(nodes, hub, bans)
        self.departures = Departures(nodes, hub)
        self.room_list = RoomList(nodes, hub, clock)
        self.traces = Traces(nodes, hub, bus, clock)
        self.closeups = Closeups(nodes, hub, clock)
        self.drains = NodeDrains(nodes, hub, clock)
        self.headcount = Headcount(bus, clock, nodes.node, lambda: _counted(hub), nodes.known)

    def start(self) -> None:
        """Begin to keep what is looked at."""
        self.traces.start()
        self.closeups.start()
        self.headcount.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self.traces.stop()
        await self.closeups.stop()
        await self.drains.stop()
        await self.headcount.stop()

    def routes(self) -> list[APIRouter]:
        """Return the HTTP side."""
        now = self._clock.time
        traces = TraceRoutes(
            self.traces, self._everywhere, self._audit, self._may_still_manage, self._audience_of, self._reader, now
        )
        lists = Lists(self._everywhere, self.departures, self.room_list)
        files = ListFiles(lists, self._audit, self._may_still_look, now, self._files)
        return [
            files.router(),
            # Before the next, to which its fixed paths look like ids; those of files likewise.
            departure_router(self.departures, self._audit),
            connection_router(self._everywhere, self._nodes, self._audit, now),
            room_router(self.room_list, now),
            ban_router(self._bans, self.banishment, self._audit, now),
            traces.router(),
            NodeRoutes(self.drains, self._audit, now).router(),
            closeup_router(self.closeups, self._remember, now),
        ]

    async def _may_still_manage(self, request: Request) -> bool:
        """Whether the login behind a request is still that of an admin who manages users; not knowing is no."""
        principal = await self._admin_behind(request)
        return principal is not None and principal.can(PERMISSION)

    async def _may_still_look(self, request: Request) -> bool:
        """Whether the login behind a request is still that of an admin; not knowing is no."""
        return await self._admin_behind(request) is not None

    async def _admin_behind(self, request: Request) -> Principal | None:
        token = session_token_from_scope(request.scope)
        try:
            principal = None if token is None else await self._accounts.load_session(token)
        except StoreError:
            return None
        if principal is None or self._bans.of_user(principal.user_id) or self._bans.of_address(caller(request)):
            return None
        return principal if principal.role >= Role.ADMIN else None

    def _audience_of(self, room_id: str, principal: Principal) -> str:
        """Return whose view of a room somebody has. Raises InvalidRequest."""
        address = resolve(room_id)
        rules = self._rules.get(address.family)
        if rules is None:
            raise InvalidRequest(
                f"There are no {address.family} rooms on this server.",
                required_action="Take a room from the list of rooms.",
                will_not="Tidewire will not guess which room was meant.",
            )
        return rules.audience_of(principal)


def _counted(hub: Hub) -> Here:
    principals = hub.standing.principals()
    return {
        "users": {each.user_id for each in principals},
        "logins": {each.session_id for each in principals},
        "rooms": {room.room_id for room in hub.each_room()},
    }
