"""Tells other nodes at once who may do less or more now, and makes sure that nothing was missed after a break.

What is heard is applied at once; what could not be heard is looked up in the database (``review``) before anything that
was held up is sent on, so that a revocation is never overtaken. It must not know rooms or sockets.
Source: reliability.md 4 ("permission revoked mid-stream"), bar R14; docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from tidewire.accounts.model import Role, User
from tidewire.accounts.permissions import effective_permissions
from tidewire.bus.base import Bus, BusStatus
from tidewire.bus.listening import Listening
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE

CHANNEL = "tidewire:accounts"

_log = structlog.get_logger(__name__)


class UserChange(msgspec.Struct, frozen=True, tag="user", tag_field="type"):
    """A user as they are now. ``origin``: the process that changed them."""

    origin: str
    user_id: int
    username: str
    role: int
    permissions: frozenset[str]
    disabled: bool


def change_of(user: User) -> UserChange:
    """Return what other nodes must know of a user."""
    return UserChange("", user.id, user.username, int(user.role), effective_permissions(user), user.disabled)


class LoginEnd(msgspec.Struct, frozen=True, tag="login_ended", tag_field="type"):
    """A login that has ended. ``origin``: the process that ended it."""

    origin: str
    session_id: str


_ROLES = frozenset(map(int, Role))
_decode = msgspec.json.Decoder(UserChange | LoginEnd).decode


class AccountChanges:
    """See the module's text.

    Args:
        review: Looks everybody up who is connected here; raises StoreError.
        user_changed, login_ended: Apply a change to this node's connections.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        review: Callable[[], Awaitable[None]],
        user_changed: Callable[[UserChange], None],
        login_ended: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._review = review
        self._user_changed = user_changed
        self._login_ended = login_ended
        self._origin = secrets.token_hex(8)
        self._listening = Listening(bus, {CHANNEL: self._receive}, gap=self._gap, state=self._state)
        self._breaks = 0
        self._confirmed = 0
        self._confirming: asyncio.Task[None] | None = None
        self.unannounced = 0
        self.malformed = 0
        self.heard = 0

    def start(self) -> None:
        """Listen to the other nodes."""
        self._listening.start()

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        self._listening.stop()
        if self._confirming is not None:
            self._confirming.cancel()

    def statistics(self) -> dict[str, int]:
        """Return counters since start."""
        return {
            "heard": self.heard,
            "unannounced": self.unannounced,
            "malformed": self.malformed,
            "breaks": self._breaks,
            "unconfirmed": int(self._confirmed != self._breaks),
        }

    def announce_user(self, change: UserChange) -> None:
        """Tell the other nodes; never raises: without the bus they find out by their own review."""
        self._announce(msgspec.structs.replace(change, origin=self._origin))

    def announce_login_ended(self, session_id: str) -> None:
        """Tell the other nodes; never raises."""
        self._announce(LoginEnd(self._origin, session_id))

    async def confirm(self) -> None:
        """Return when this node knows of every change made before the call. Raises BusError or StoreError."""
        while self._confirmed != self._breaks:
            if self._confirming is None or self._confirming.done():
                self._confirming = asyncio.create_task(self._catch_up(), name="accounts-confirm")
            await asyncio.shield(self._confirming)

    async def _catch_up(self) -> None:
        breaks = self._breaks
        # Listening again comes first: a change after that is heard, one before it is in the database.
        await self._listening.ready()
        await self._review()
        self._confirmed = breaks

    def _announce(self, change: UserChange | LoginEnd) -> None:
        try:
            self._bus.publish(CHANNEL, [msgspec.json.encode(change)])
        except BusError as error:
            self.unannounced += 1
            _log.warning("account_change_unannounced", **error.describe())

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                change = _decode(payload)
            except UNREADABLE:
                self.malformed += 1
                continue
            if change.origin == self._origin:
                continue
            self.heard += 1
            if isinstance(change, LoginEnd):
                self._login_ended(change.session_id)
            elif change.role in _ROLES:
                self._user_changed(change)
            else:
                self.malformed += 1

    def _gap(self, channel: str) -> None:
        if channel == CHANNEL:
            self._break()

    def _state(self, _: BusStatus) -> None:
        if not self._bus.reaches(CHANNEL):
            self._breaks += 1

    def _break(self) -> None:
        self._breaks += 1
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._catch_up(), name="accounts-confirm")
            self._confirming.add_done_callback(_told)


def _told(confirming: asyncio.Task[None]) -> None:
    # The regular review goes on; whoever waits to send on asks again.
    if not confirming.cancelled() and (error := confirming.exception()) is not None:
        _log.warning("accounts_unconfirmed", what_happened=str(error))
