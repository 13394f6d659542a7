"""Login sessions: open, load, touch, revoke, purge. It must not know cookies, passwords or sockets.

The cookie carries a secret of 256 random bits; the database holds only a keyed digest of it, so neither a copy of the
database nor of the secret key alone is a login. A loaded session is remembered for ``cache_s``; a revocation through
this object forgets it at once and calls whoever asked to be told, another process notices after ``cache_s`` at most.
Source: OWASP ASVS 5.0 sections 7.2 and 7.4.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from tidewire.accounts.model import Principal, Role, User
from tidewire.accounts.permissions import effective_permissions
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.store.records import ActivityEntry, SessionRecord, UserRecord
from tidewire.store.sessions import Sessions

log = structlog.get_logger(__name__)

# What secrets.token_urlsafe(32) yields; anything else in the cookie is not worth a query.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
Revoked = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long sessions live, seconds.

    Attributes:
        absolute_s: Longest life, whatever is done.
        idle_s: Longest time without a request or a re-check by a live socket.
        touch_every_s: How often use is written down; idle_s is exact to this.
        cache_s: How long a loaded session is believed without asking the database.
        cache_max: Most sessions remembered; the one used longest ago is forgotten.
        keep_s: How long ended sessions stay in the database before ``purge`` deletes them.
    """

    absolute_s: float = 12 * 3600.0
    idle_s: float = 3600.0
    touch_every_s: float = 60.0
    cache_s: float = 5.0
    cache_max: int = 10_000
    keep_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new login: the cookie's secret, which exists nowhere else, and whom it stands for."""

    token: str = field(repr=False)
    principal: Principal


@dataclass(slots=True)
class _Known:
    principal: Principal
    last_seen: float
    loaded_at: float


class LoginSessions:
    """The sessions of all users.

    Args:
        sessions: The table.
        key: Key of the digest, 32 bytes.
        clock: Wall time for ends, monotonic time for the memory.
    """

    def __init__(self, sessions: Sessions, key: bytes, clock: Clock, rules: SessionRules) -> None:
        self.rules = rules
        self._sessions = sessions
        self._key = key
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._callbacks: list[Revoked] = []
        # Rises with every revocation; a load that began before one asks the database again.
        self._generation = 0
        self.opened = 0
        self.revoked = 0
        self.touched = 0
        self.touches_failed = 0
        self.callback_errors = 0

    async def open(self, user: UserRecord, *, ip: str, user_agent: str, audit: ActivityEntry) -> OpenedSession:
        """Start a session under a new token. Raises StoreError."""
        now = self._clock.time()
        token = secrets.token_urlsafe(32)
        record = SessionRecord(
            id=secrets.token_hex(12),
            token_hash=self._digest(token),
            user_id=user.id,
            created_at=now,
            last_seen=now,
            expires_at=now + self.rules.absolute_s,
            ip=ip,
            user_agent=user_agent,
        )
        await self._sessions.add(record, audit)
        self.opened += 1
        return OpenedSession(token, principal_of(user, record))

    async def load(self, token: str, *, touch: bool = True) -> Principal | None:
        """Return whom ``token`` stands for, or None if it is unknown, ended, idle too long, or its user disabled.

        Args:
            touch: Whether this counts as use. A live socket's re-check should, or its page is logged out while watched.

        Raises:
            StoreError: The database could not be asked, and the session is not remembered.
        """
        if not _TOKEN.fullmatch(token):
            return None
        digest = self._digest(token)
        known = self._remembered(digest) or await self._fetch(digest)
        if known is None or not self._alive(known):
            self._known.pop(digest, None)
            return None
        now = self._clock.time()
        if touch and now - known.last_seen >= self.rules.touch_every_s:
            # Written before it is awaited, so that parallel requests touch once.
            known.last_seen = now
            self.touched += 1
            try:
                await self._sessions.touch(known.principal.session_id, now)
            except StoreError:
                # Who it is has been read; only the note of the use is missing, and the next use makes it.
                self.touches_failed += 1
        return known.principal

    async def revoke(self, session_id: str, audit: ActivityEntry | None = None) -> bool:
        """End one session and tell the listeners; False if it had ended already. Raises StoreError."""
        ended = await self._sessions.revoke(session_id, self._clock.time(), audit)
        # Told even if another process ended it first: the sockets that are open here do not know yet.
        self.forget([session_id])
        return ended

    async def revoke_user(self, user_id: int, audit: ActivityEntry | None = None) -> int:
        """End every session of a user, tell the listeners, and return how many ended. Raises StoreError."""
        ended = await self._sessions.revoke_user(user_id, self._clock.time(), audit)
        self.forget(ended)
        return len(ended)

    def forget(self, session_ids: Iterable[str]) -> None:
        """Drop sessions that the database has ended, and tell the listeners. Never raises."""
        ended = set(session_ids)
        self._generation += 1
        for digest in [digest for digest, known in self._known.items() if known.principal.session_id in ended]:
            del self._known[digest]
        self.revoked += len(ended)
        for session_id in ended:
            self._tell(session_id)

    def forget_user(self, user_id: int) -> None:
        """Load the user's sessions anew at their next use: role or permissions changed."""
        self._generation += 1
        for digest in [digest for digest, known in self._known.items() if known.principal.user_id == user_id]:
            del self._known[digest]

    def on_revoked(self, callback: Revoked) -> Callable[[], None]:
        """Call ``callback`` with the public id of every session that ends through this object.

        It runs on the event loop, right after the commit, and must not block. Returns a function that ends the calls.
        """
        self._callbacks.append(callback)

        def stop() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return stop

    async def purge(self) -> int:
        """Delete sessions that ended more than ``keep_s`` ago and return how many. Raises StoreError."""
        before = self._clock.time() - self.rules.keep_s
        return await self._sessions.purge(expired_before=before, idle_before=before - self.rules.idle_s)

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many sessions are remembered."""
        return {
            "opened": self.opened,
            "revoked": self.revoked,
            "touched": self.touched,
            "touches_failed": self.touches_failed,
            "remembered": len(self._known),
            "callback_errors": self.callback_errors,
        }

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._key, token.encode(), hashlib.sha256)

    def _remembered(self, digest: bytes) -> _Known | None:
        known = self._known.get(digest)
        if known is None or self._clock.monotonic() - known.loaded_at >= self.rules.cache_s:
            return None
        self._known.move_to_end(digest)
        return known

    async def _fetch(self, digest: bytes) -> _Known | None:
        while True:
            generation = self._generation
            found = await self._sessions.find(digest)
            if generation == self._generation:
                break
        if found is None:
            return None
        session, user = found
        if session.revoked_at is not None or user.disabled:
            return None
        known = _Known(principal_of(user, session), session.last_seen, self._clock.monotonic())
        while len(self._known) >= self.rules.cache_max:
            self._known.popitem(last=False)
        self._known[digest] = known
        return known

    def _alive(self, known: _Known) -> bool:
        now = self._clock.time()
        return now < known.principal.expires_at and now - known.last_seen < self.rules.idle_s

    def _tell(self, session_id: str) -> None:
        for callback in tuple(self._callbacks):
            try:
                callback(session_id)
            except Exception:
                # One listener's fault must not keep the others' sockets open.
                self.callback_errors += 1
                log.exception("session_listener_failed", session_id=session_id)


def user_of(record: UserRecord) -> User:
    """Return a stored user as the accounts floor knows it. Raises StoreError if its role is unknown."""
    try:
        role = Role.parse(record.role)
    except KeyError:
        raise StoreError(
            f"The user {record.username} has the unknown role {record.role!r} in the database.",
            required_action="Set the role to one of: " + ", ".join(role.label for role in Role) + ".",
            will_not="Tidewire will not guess what this user may do.",
            code="data_invalid",
        ) from None
    return User(record.id, record.username, role, record.disabled, record.grants, record.denials)


def principal_of(record: UserRecord, session: SessionRecord) -> Principal:
    """Return whom a session stands for."""
    user = user_of(record)
    return Principal(
        user_id=user.id,
        username=user.username,
        role=user.role,
        permissions=effective_permissions(user),
        session_id=session.id,
        expires_at=session.expires_at,
        must_change_password=record.must_change_password,
    )
