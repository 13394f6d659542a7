"""Who sits behind the sockets of /admin-ws, and whether they still may. It must not know ticks or streams.

The cookie was read once, at the handshake; the session behind it may be revoked, expire or lose its role at any time,
so every session is asked again each minute, and at once when somebody says that it has ended.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from tidewire.accounts.model import Principal
from tidewire.core.clock import Clock
from tidewire.core.errors import Forbidden, RequestError, TidewireError, Unauthenticated, Unavailable
from tidewire.core.token_bucket import TokenBucket

# What a cookie is read from: the ASGI scope of the handshake.
Authenticate = Callable[[MutableMapping[str, Any]], Awaitable[Principal | None]]

REVALIDATE_EVERY_S = 60.0
# While the account store does not answer: try again after this, and give up on a session after UNVERIFIED_MAX_S.
RETRY_AFTER_S = 10.0
UNVERIFIED_MAX_S = 180.0
# A store that does not answer must not hold up a handshake or the other sessions.
AUTHENTICATE_TIMEOUT_S = 5.0
# Sessions that ended lately, so that a socket whose cookie was read just before is not let in just after.
_ENDED_KEPT = 1_000


@dataclass(slots=True)
class AdminSession:
    """One socket's somebody. Times are monotonic seconds."""

    sid: str
    scope: MutableMapping[str, Any]
    principal: Principal
    verified_at: float
    asked_at: float
    # A snapshot can be a megabyte: five at once, then one per second.
    snapshots: TokenBucket

    @property
    def ip(self) -> str:
        """The address that the socket came from, for the audit."""
        return address_of(self.scope)


class AdminSessions:
    """The sessions by socket.

    Args:
        authenticate: Returns the principal of a handshake's cookie, or None.
        clock: Time.
        end: Called with a sid and the error that ends it.
    """

    def __init__(self, authenticate: Authenticate, clock: Clock, end: Callable[[str, TidewireError], None]) -> None:
        self._authenticate = authenticate
        self._clock = clock
        self._end = end
        self._sessions: dict[str, AdminSession] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._log = structlog.get_logger("tidewire.monitoring")

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[AdminSession]:
        return iter(list(self._sessions.values()))

    def get(self, sid: str) -> AdminSession | None:
        """Return the session of a socket."""
        return self._sessions.get(sid)

    def remove(self, sid: str) -> AdminSession | None:
        """Forget a socket. Idempotent."""
        return self._sessions.pop(sid, None)

    async def admit(self, sid: str, scope: MutableMapping[str, Any]) -> AdminSession:
        """Return the session of a new socket. Raises Unauthenticated, Forbidden or Unavailable."""
        principal = await self._ask(scope)
        now = self._clock.monotonic()
        bucket = TokenBucket(rate=1.0, burst=5.0, now=now)
        session = AdminSession(sid, scope, principal, now, now, bucket)
        self._sessions[sid] = session
        return session

    async def verify(self, session: AdminSession) -> Principal:
        """Ask again who this is, now. Raises as ``admit``."""
        session.asked_at = self._clock.monotonic()
        session.principal = await self._ask(session.scope)
        session.verified_at = session.asked_at
        return session.principal

    async def verify_due(self) -> None:
        """Ask about every session whose time has come, and end those that may no longer be here."""
        now, due = self._clock.monotonic(), []
        for session in self:
            if self._clock.time() >= session.principal.expires_at:
                self._end(session.sid, _unauthenticated("Your session has expired."))
            elif now - session.verified_at >= REVALIDATE_EVERY_S and now - session.asked_at >= RETRY_AFTER_S:
                due.append(session)
        # Together: a store that hangs then costs one timeout, not one per session.
        await asyncio.gather(*(self._verify_one(session) for session in due))

    async def verify_user(self, user_id: int) -> None:
        """Ask about every session of a user now, and end those that may no longer be here."""
        await asyncio.gather(*(self._verify_one(session) for session in self if session.principal.user_id == user_id))

    def mark_ended(self, session_id: str) -> list[str]:
        """Note that the account session has ended; return the sids that act in its name."""
        self._ended[session_id] = None
        while len(self._ended) > _ENDED_KEPT:
            self._ended.popitem(last=False)
        return [session.sid for session in self if session.principal.session_id == session_id]

    def has_ended(self, session_id: str) -> bool:
        """Whether the account session was said to have ended."""
        return session_id in self._ended

    async def _verify_one(self, session: AdminSession) -> None:
        try:
            await self.verify(session)
        except Unavailable as exc:
            if self._clock.monotonic() - session.verified_at > UNVERIFIED_MAX_S:
                self._end(session.sid, exc)
        except RequestError as exc:
            self._end(session.sid, exc)

    async def _ask(self, scope: MutableMapping[str, Any]) -> Principal:
        try:
            async with asyncio.timeout(AUTHENTICATE_TIMEOUT_S):
                principal = await self._authenticate(scope)
        except RequestError:
            raise
        except (TidewireError, TimeoutError) as exc:
            self._log.warning("admin_session_unverified", reason=str(exc) or "no answer in time")
            raise Unavailable(
                "Your session cannot be checked, because the account store does not answer.",
                required_action="Try again in a moment; if it lasts, check the database.",
                will_not="Tidewire will not let anybody in unchecked.",
                code="storage_unavailable",
            ) from exc
        if principal is None or principal.session_id in self._ended:
            raise _unauthenticated("You are not logged in, or your session has ended.")
        if not principal.is_admin:
            raise Forbidden(
                f"This channel is for administrators; you are {principal.role.label}.",
                required_action="Log in as an administrator.",
                will_not="Tidewire will not show any of it.",
                details={"role": "admin"},
            )
        return principal


def address_of(scope: MutableMapping[str, Any]) -> str:
    """Return the address that a socket of an ASGI scope came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _unauthenticated(message: str) -> Unauthenticated:
    return Unauthenticated(
        message,
        required_action="Log in at /login, then open the page again.",
        will_not="Tidewire will not stream to anybody who is not logged in.",
    )
