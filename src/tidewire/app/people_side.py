"""The activity log and the users as operators see and change them: wiring. It must not hold logic of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from fastapi import APIRouter, Request

from tidewire.accounts.model import Principal
from tidewire.accounts.refusals import FLUSH_EVERY_S, Refusals
from tidewire.accounts.service import Accounts
from tidewire.accounts.user_admin import UserAdmin
from tidewire.app.database import Storage
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import Forbidden, StoreError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.hub import Hub
from tidewire.monitoring.activity_routes import activity_router
from tidewire.monitoring.activity_watch import ActivityWatch
from tidewire.monitoring.activity_wire import PERMISSION
from tidewire.monitoring.connection_routes import Audit
from tidewire.monitoring.file_export import FileRules
from tidewire.monitoring.user_routes import user_router
from tidewire.settings import Settings
from tidewire.store.activity import ActivityLog
from tidewire.web.session import session_token_from_scope


class PeopleSide:
    """See the module's text. Make it before the hub starts.

    Args:
        audit: Writes an audit line.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        hub: Hub,
        everywhere: Everywhere,
        bus: Bus,
        accounts: Accounts,
        clock: Clock,
        audit: Audit,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._clock = clock
        self._audit = audit
        self._activity = ActivityLog(storage.background)
        masked = settings.activity_mask_addresses
        self.watch = ActivityWatch(self._activity, bus, hub.features, clock, masked=masked)
        self._everywhere = everywhere
        self._users = UserAdmin(accounts, storage.requests, clock)
        hub.features.add(self.watch.commands())
        self.refusals = Refusals(self._activity, clock)
        hub.features.on_refused(partial(self.note_refused, "message.refused"))
        self._refusals_loop = WatchedLoop("refusals", FLUSH_EVERY_S, self.refusals.flush, clock)
        for database in (storage.requests, storage.background):
            database.on_commit(self.watch.committed)

    def routes(self) -> list[APIRouter]:
        """Return the HTTP routes."""
        return [
            activity_router(
                self._activity,
                self._audit,
                self._may_still_read,
                self._clock.time,
                masked=self._settings.activity_mask_addresses,
                files=FileRules(
                    allowed=self._settings.export and self._settings.activity_export,
                    masked=self._settings.export_mask_addresses,
                ),
            ),
            user_router(self._users, self._everywhere, self._clock.time),
        ]

    def start(self) -> None:
        """Begin to follow the log."""
        self.watch.start()
        self._refusals_loop.start()

    async def stop(self) -> None:
        """End it. Idempotent."""
        await self._refusals_loop.stop()
        await self.refusals.flush(everything=True)
        await self.watch.stop()

    def statistics(self) -> Mapping[str, int]:
        """Return counters since start."""
        followed = {f"activity_{name}": value for name, value in self.watch.statistics().items()}
        return followed | {f"refusals_{name}": value for name, value in self.refusals.statistics().items()}

    def note_refused(self, action: str, principal: Principal, asked: str, ip: str) -> None:
        """Note that somebody was refused for a missing role or permission; never waits."""
        self.refusals.note(principal, action, asked, ip, Forbidden.code)

    async def _may_still_read(self, request: Request) -> bool:
        """Whether the login behind a request may still read the log; not knowing is no."""
        token = session_token_from_scope(request.scope)
        try:
            principal = None if token is None else await self._accounts.load_session(token)
        except StoreError:
            return False
        return principal is not None and principal.can(PERMISSION)
