"""Makes every change of a user or a login act on the connections that are open: at once here, and on other nodes.

What this process changes it hears from its own accounts; what other nodes change they say (``AccountChanges``); what
neither said is found by looking everybody up. It must not know rooms, sockets or HTTP.
Source: reliability.md 4 ("permission revoked mid-stream"), bar R14; docs/decisions/0013.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from msgspec.structs import replace

from tidewire.accounts.api_keys import LOGIN_PREFIX, ApiKeys
from tidewire.accounts.logins import Logins
from tidewire.accounts.model import Principal, Role, User
from tidewire.accounts.service import Accounts
from tidewire.app.account_changes import AccountChanges, UserChange, change_of
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.core.throttle import Throttle
from tidewire.hub.hub import Hub

_log = structlog.get_logger(__name__)

# A change made by another process (the command line, another node) acts within five seconds; asking takes some of it.
REVIEW_EVERY_S = 4.5


class LoginWatch:
    """See the module's text.

    Args:
        logins: Looks people up, beside whoever waits for an answer.
        bus: Where other nodes hear of changes at once; None: this process is alone and has nobody to tell.

    Attributes:
        before: Looked up before everybody is, with each review; raises StoreError.
    """

    def __init__(
        self, hub: Hub, accounts: Accounts, keys: ApiKeys, logins: Logins, clock: Clock, bus: Bus | None
    ) -> None:
        self._hub = hub
        self._accounts = accounts
        self._keys = keys
        self._logins = logins
        self._clock = clock
        self._listening: list[Callable[[], None]] = []
        self._untold = Throttle(every_s=300.0)
        self._reviewed_at, self.failed = clock.monotonic(), 0
        self._changes = None if bus is None else self._tell_others(bus)
        self._hearing = False
        self.before: Callable[[], Awaitable[None]] | None = None
        self._told: list[Callable[[int], None]] = []

    def on_user(self, told: Callable[[int], None]) -> None:
        """Call ``told`` with the number of each user who is changed, here or on another node; must not block."""
        self._told.append(told)

    def _tell_others(self, bus: Bus) -> AccountChanges:
        changes = AccountChanges(
            bus,
            review=self._look_everybody_up,
            user_changed=self._user_changed_elsewhere,
            login_ended=self._login_ended_elsewhere,
        )
        self._hub.confirm_before_catch_up(changes.confirm)
        return changes

    def listen(self) -> None:
        """Hear from now on what this process changes."""
        self._listening = [
            self._accounts.on_changed(self._user_changed),
            self._accounts.on_revoked(self._login_ended),
        ]

    def listen_to_others(self) -> None:
        """Hear from now on what other nodes change."""
        if self._changes is not None:
            self._changes.start()

    def deafen(self) -> None:
        """Hear nothing from this process any more. Idempotent."""
        for end in self._listening:
            end()
        self._listening = []

    def deafen_to_others(self) -> None:
        """Hear nothing from other nodes any more. Idempotent."""
        if self._changes is not None:
            self._changes.stop()

    def statistics(self) -> dict[str, int]:
        """Return how long ago everybody was looked up."""
        return {"age_seconds": round(self._clock.monotonic() - self._reviewed_at)}

    def changes_statistics(self) -> dict[str, int]:
        """Return what was said and heard; nothing if this process is alone."""
        return {} if self._changes is None else self._changes.statistics()

    async def review(self) -> None:
        """Apply what another process has changed about the logins of living connections.

        While the database cannot say, nobody is cut: not knowing is no reason, and what this process changes is told at
        once anyway. How long it has not been known is in the metrics; why, the database's own state says.
        """
        try:
            await self._look_everybody_up()
        except StoreError as exc:
            told = self._untold.admit(self._clock.monotonic())
            if told:
                _log.warning("login_review_failed", failed=told, code=exc.code, message=exc.message)

    async def _look_everybody_up(self) -> None:
        """Apply what has changed. Raises StoreError: after a break of the bus nothing may be sent on unconfirmed."""
        try:
            if self.before is not None:
                await self.before()
            changes = await self._logins.review(self._hub.standing.principals())
        except StoreError:
            self.failed += 1
            raise
        self._reviewed_at = self._clock.monotonic()
        for change in changes:
            if change.principal is not None:
                self._hub.standing.replace_login(change.principal)
            elif change.disabled:
                self._hub.standing.end_disabled(change.session_id)
            else:
                self._hub.standing.end_login(change.session_id)

    def _login_ended(self, session_id: str) -> None:
        self._hub.standing.end_login(session_id)
        if self._changes is not None and not self._hearing:
            self._changes.announce_login_ended(session_id)

    def _login_ended_elsewhere(self, session_id: str) -> None:
        # Everybody here who is told of ends is told, and the session is not believed from memory any more.
        self._hearing = True
        try:
            self._accounts.sessions.forget([session_id])
        finally:
            self._hearing = False

    def _user_changed_elsewhere(self, change: UserChange) -> None:
        self._accounts.sessions.forget_user(change.user_id)
        self._apply(change)

    def _user_changed(self, user: User) -> None:
        self._keys.forget_user(user.id)
        change = change_of(user)
        self._apply(change)
        if self._changes is not None:
            self._changes.announce_user(change)

    def _apply(self, change: UserChange) -> None:
        """Apply a change of a user, made here or on another node."""
        for told in self._told:
            told(change.user_id)
        if change.disabled:
            self._hub.standing.end_user(change.user_id)
            return
        permissions, role = change.permissions, Role(change.role)

        def revise(principal: Principal) -> Principal:
            if principal.session_id.startswith(LOGIN_PREFIX):
                # What the key's own list allows is in the database; until the review has read it, a key only loses.
                return replace(
                    principal,
                    role=min(principal.role, role),
                    permissions=principal.permissions & permissions,
                )
            return replace(principal, username=change.username, role=role, permissions=permissions)

        self._hub.standing.revise_user(change.user_id, revise)
