"""API keys: a program acts as a user, with the user's permissions or fewer, until the key expires or is revoked.

The key is shown once; the database holds a keyed digest. It must not know HTTP or sockets. A loaded key is believed for
``CACHE_S``; a revocation in another process is noticed after that at most.
Source: contract.md section 6; OWASP ASVS 5.0 section 13.3 (keys expire, are scoped and can be revoked).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tidewire.accounts.keys import derive_key
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.permissions import PERMISSIONS, effective_permissions
from tidewire.accounts.sessions import user_of
from tidewire.core.clock import Clock
from tidewire.core.errors import InvalidRequest, NotFound, StoreError
from tidewire.store import api_keys as table
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, ApiKeyRecord, JsonValue, UserRecord
from tidewire.store.users import Users

PREFIX = "twk_"
# Public login ids of keys begin with this; those of sessions are hexadecimal.
LOGIN_PREFIX = "key-"
CACHE_S = 5.0
CACHE_MAX = 1_000
TOUCH_EVERY_S = 60.0
NAME_MAX = 64
LIFE_MAX_S = 10 * 366 * 86_400.0
_KEY = re.compile(r"twk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; its text exists nowhere else."""

    key: str = field(repr=False)
    record: ApiKeyRecord
    username: str


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key as lists show it."""

    record: ApiKeyRecord
    username: str
    state: str


@dataclass(slots=True)
class _Known:
    principal: Principal
    loaded_at: float
    touched_at: float


class ApiKeys:
    """Makes, checks and ends keys.

    Args:
        secret_key: TIDEWIRE_SECRET_KEY; changing it ends every key.
    """

    def __init__(self, database: Database, *, secret_key: str, clock: Clock) -> None:
        self._table = table.ApiKeys(database)
        self._users = Users(database)
        self._digest_key = derive_key(secret_key, "api-key")
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        # Rises with every change; a load that began before one asks the database again.
        self._generation = 0
        self.touches_failed = 0
        # Raises for a user who is kept out; whoever knows of bans sets it. Sockets are asked at their own door.
        self.bar: Callable[[int], None] = lambda user_id: None

    async def create(
        self, username: str, name: str, *, life_s: float, permissions: Collection[str] | None = None, actor: str = "cli"
    ) -> NewKey:
        """Make a key for a user.

        Args:
            life_s: How long it works, seconds.
            permissions: What it may do at most; None: all that its user may, now and later.

        Raises:
            InvalidRequest: The name, life or a permission does not do.
            NotFound: No such user.
            StoreError: The database failed.
        """
        _check(name, life_s, permissions)
        user = await self._users.by_name(username)
        if user is None:
            raise NotFound(
                f"There is no user {username}.",
                required_action="Check the name, or add it with `tidewire user add`.",
                will_not="Tidewire will not make a key for nobody.",
                code="unknown_user",
                details={"user": username},
            )
        now, key_id = self._clock.time(), secrets.token_hex(6)
        key = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        scope = None if permissions is None else frozenset(permissions)
        record = ApiKeyRecord(key_id, self._digest(key), user.id, name, scope, now, now + life_s)
        details: dict[str, JsonValue] = {
            "name": name,
            "user": user.username,
            "permissions": None if scope is None else list[JsonValue](sorted(scope)),
        }
        await self._table.add(record, ActivityEntry(now, actor, "token.create", target=key_id, details=details))
        return NewKey(key, record, user.username)

    async def list_all(self) -> list[ShownKey]:
        """Return every key, newest first. Raises StoreError."""
        now = self._clock.time()
        rows = await self._table.list_all()
        return [ShownKey(record, user.username, _state(record, user, now)) for record, user in rows]

    async def revoke(self, key_id: str, *, actor: str = "cli") -> bool:
        """End a key; False if it had ended. Raises NotFound, StoreError."""
        if not await self._table.by_ids([key_id]):
            raise NotFound(
                f"There is no API key {key_id}.",
                required_action="See `tidewire token list` for the ids.",
                will_not="Tidewire will not revoke another key.",
                code="unknown_key",
            )
        now = self._clock.time()
        ended = await self._table.revoke(key_id, now, ActivityEntry(now, actor, "token.revoke", target=key_id))
        self._forget(lambda principal: principal.session_id == login_id(key_id))
        return ended

    def forget_user(self, user_id: int) -> None:
        """Load the user's keys anew at their next use: the user was disabled, or the role or permissions changed."""
        self._forget(lambda principal: principal.user_id == user_id)

    async def load(self, key: str) -> Principal | None:
        """Return whom a key stands for, None if it is unknown or has ended. Raises StoreError."""
        if not _KEY.fullmatch(key):
            return None
        digest, mono = self._digest(key), self._clock.monotonic()
        known = self._known.get(digest)
        if known is None or mono - known.loaded_at >= CACHE_S:
            known = await self._fetch(digest, mono, known)
        if known is None or self._clock.time() >= known.principal.expires_at:
            self._known.pop(digest, None)
            return None
        if mono - known.touched_at >= TOUCH_EVERY_S:
            # Set before it is awaited, so that parallel requests write once.
            known.touched_at = mono
            try:
                await self._table.touch(key_id_of(known.principal.session_id), self._clock.time())
            except StoreError:
                # Whose key it is has been read; only the note of the use is missing, and the next use makes it.
                self.touches_failed += 1
        return known.principal

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._digest_key, key.encode(), hashlib.sha256)

    def _forget(self, which: Callable[[Principal], bool]) -> None:
        self._generation += 1
        for digest in [digest for digest, known in self._known.items() if which(known.principal)]:
            del self._known[digest]

    async def _fetch(self, digest: bytes, mono: float, before: _Known | None) -> _Known | None:
        while True:
            generation = self._generation
            found = await self._table.find(digest)
            if generation == self._generation:
                break
        principal = None if found is None else key_principal(*found)
        if principal is None:
            return None
        touched = before.touched_at if before is not None else float("-inf")
        known = self._known[digest] = _Known(principal, mono, touched)
        self._known.move_to_end(digest)
        while len(self._known) > CACHE_MAX:
            self._known.popitem(last=False)
        return known


def key_principal(record: ApiKeyRecord, owner: UserRecord) -> Principal | None:
    """Return whom a stored key stands for; None if it was revoked or its user is disabled.

    A key with its own list of permissions has the role ``user``, because a role opens things that no permission names.
    """
    user = user_of(owner)
    if record.revoked_at is not None or user.disabled:
        return None
    allowed = effective_permissions(user)
    return Principal(
        user_id=user.id,
        username=user.username,
        role=user.role if record.permissions is None else Role.USER,
        permissions=allowed if record.permissions is None else allowed & record.permissions,
        session_id=login_id(record.id),
        expires_at=record.expires_at,
    )


def login_id(key_id: str) -> str:
    """Return the public login id of a key."""
    return f"{LOGIN_PREFIX}{key_id}"


def key_id_of(login: str) -> str:
    """Return the key's id in a login id."""
    return login.removeprefix(LOGIN_PREFIX)


def _state(record: ApiKeyRecord, owner: UserRecord, now: float) -> str:
    if record.revoked_at is not None:
        return "revoked"
    if now >= record.expires_at:
        return "expired"
    return "user disabled" if owner.disabled else "valid"


def _check(name: str, life_s: float, permissions: Collection[str] | None) -> None:
    nothing = "Tidewire will not make the key."
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise InvalidRequest(
            f"A key's name has 1 to {NAME_MAX} printable characters.",
            required_action="Name the program that will use it.",
            will_not=nothing,
        )
    if not 0 < life_s <= LIFE_MAX_S:
        raise InvalidRequest(
            "A key lives between a moment and ten years.", required_action="Choose another time.", will_not=nothing
        )
    unknown = sorted(set(permissions or ()) - PERMISSIONS)
    if unknown:
        raise InvalidRequest(
            f"There is no permission {unknown[0]!r}.",
            required_action="Use: " + ", ".join(sorted(PERMISSIONS)) + ".",
            will_not=nothing,
            code="unknown_permission",
            details={"permission": unknown[0]},
        )
