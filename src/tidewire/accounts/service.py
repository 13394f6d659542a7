"""Accounts as the rest of Tidewire uses them: users, passwords, login, logout. It must not know HTTP, cookies or pages.

Whatever is wrong with a login, the answer is one text after one time: nobody learns which usernames exist.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from tidewire.accounts.guard import LoginGuard, LoginLimits
from tidewire.accounts.keys import derive_key
from tidewire.accounts.model import Principal, Role, User
from tidewire.accounts.own_password import WRONG_PASSWORD, check_new_password, gone, left_outside, wrong_password
from tidewire.accounts.passwords import Passwords
from tidewire.accounts.policy import check_password, check_username
from tidewire.accounts.sessions import LoginSessions, OpenedSession, Revoked, SessionRules, user_of
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import Forbidden, InvalidRequest, NotFound, StoreError, Unauthenticated
from tidewire.store.activity import ActivityLog
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, JsonValue, UserRecord
from tidewire.store.sessions import Sessions
from tidewire.store.users import Users

log = structlog.get_logger(__name__)

Changed = Callable[[User], None]


class Accounts:
    """Users and their sessions.

    Args:
        database: Started and migrated.
        secret_key: TIDEWIRE_SECRET_KEY; changing it ends every session.
        passwords: The hasher; argon2id with the library's defaults unless given.

    Raises:
        SettingsError: The secret is too short.
    """

    def __init__(
        self,
        database: Database,
        *,
        secret_key: str,
        clock: Clock | None = None,
        passwords: Passwords | None = None,
        rules: SessionRules | None = None,
        limits: LoginLimits | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._users = Users(database)
        self._passwords = passwords or Passwords()
        self.activity = ActivityLog(database)
        self.sessions = LoginSessions(
            Sessions(database), derive_key(secret_key, "session"), self._clock, rules or SessionRules()
        )
        self._guard = LoginGuard(self.activity, self._clock, limits or LoginLimits())
        self._changed: list[Changed] = []
        # Raises for a user who is kept out though the password is right; whoever knows of bans sets it.
        self.bar: Callable[[int], None] = lambda user_id: None
        self.logins_ok = 0
        self.logins_failed = 0
        self.callback_errors = 0

    async def log_in(
        self, username: str, password: str, *, ip: str, user_agent: str = "", previous_token: str | None = None
    ) -> OpenedSession:
        """Check a password and open a session under a new token; end the one the browser had before.

        Args:
            ip: The peer's address, for limits and the activity log.
            previous_token: The session cookie that came with the request, if any.

        Raises:
            Unauthenticated: ``login_failed``, the same for every reason.
            Forbidden: The password is right, and the user is banned.
            RateLimited: Too many attempts from this address or for this username.
            Unavailable: Too many logins at this moment.
            StoreError: The database failed.
        """
        await self._guard.admit(username, ip)
        try:
            known = await self._look_up(username)
        except StoreError:
            # No password was compared: an outage must not use up the attempts of people who type the right one.
            self._guard.forgive(username, ip)
            raise
        user = await self._verify(known, password, ip)
        await self._refuse_barred(user, ip)
        self._guard.forgive(username, ip)
        if previous_token is not None:
            await self.log_out(previous_token, ip=ip, reason="new_login")
        opened = await self.sessions.open(
            user, ip=_clean(ip), user_agent=_clean(user_agent), audit=self._entry("user.login", user, ip=ip)
        )
        self.logins_ok += 1
        return opened

    async def load_session(self, token: str, *, touch: bool = True) -> Principal | None:
        """Return whom a cookie's token stands for, or None; see LoginSessions.load. Raises StoreError."""
        return await self.sessions.load(token, touch=touch)

    async def log_out(self, token: str, *, ip: str = "", reason: str = "logout") -> bool:
        """End the session of a cookie's token and close its sockets; False if there was none. Raises StoreError."""
        principal = await self.sessions.load(token, touch=False)
        if principal is None:
            return False
        entry = self._audit(
            "user.logout",
            principal.username,
            principal.user_id,
            principal.username,
            ip,
            {"session": principal.session_id, "reason": reason},
        )
        return await self.sessions.revoke(principal.session_id, entry)

    def on_revoked(self, callback: Revoked) -> Callable[[], None]:
        """Call ``callback(session_id)`` when a session ends; returns a function that ends the calls."""
        return self.sessions.on_revoked(callback)

    def on_changed(self, callback: Changed) -> Callable[[], None]:
        """Call ``callback`` with a user whose role, permissions or state has been changed through this object.

        It runs on the event loop, right after the commit, and must not block; of a disabled user it is told before
        ``on_revoked`` tells of the sessions that end with it. Returns a function that ends the calls.
        """
        self._changed.append(callback)

        def stop() -> None:
            if callback in self._changed:
                self._changed.remove(callback)

        return stop

    async def create_user(
        self, username: str, password: str, role: Role | str, *, actor: str = "cli", must_change: bool = False
    ) -> User:
        """Add a user.

        Args:
            must_change: Whether the password must be changed at the first login.

        Raises:
            InvalidRequest: The name, password or role does not do.
            Conflict: The name is taken.
            StoreError: The database failed.
        """
        name, rank = check_username(username), _role(role)
        check_password(password, name)
        hashed = await self._passwords.hash(password)
        entry = self._audit("user.add", actor, None, name, "", {"role": rank.label})
        now = self._clock.time()
        made = await self._users.create(name, hashed, rank.label, now, entry, must_change_password=must_change)
        return user_of(made)

    async def set_password(self, username: str, password: str, *, actor: str = "cli", must_change: bool = False) -> int:
        """Set a password, end every session of the user and return how many there were.

        Args:
            must_change: Whether it must be changed at the next login.

        Raises:
            InvalidRequest: The password does not do.
            NotFound: No such user.
            StoreError: The database failed.
        """
        user = await self._find(username)
        check_password(password, user.username)
        hashed = await self._passwords.hash(password)
        entry = self._audit("user.passwd", actor, None, user.username, "", {})
        ended = await self._users.set_password(user.id, hashed, self._clock.time(), entry, must_change=must_change)
        self.sessions.forget(ended)
        return len(ended)

    async def change_own_password(
        self, who: Principal, present: str, new: str, *, ip: str, user_agent: str = ""
    ) -> OpenedSession:
        """Let somebody choose their own password; every login of theirs ends, and a new one is opened.

        Raises:
            InvalidRequest: The present password is not theirs (``wrong_password``), or the new one does not do.
            Unauthenticated: The user is gone or disabled; or the password is changed, but no login could be opened.
            Conflict: The password was changed at the same moment.
            RateLimited: Too many attempts, counted together with logins.
            Unavailable: Too many passwords are being checked.
            StoreError: The database failed; nothing was changed.
        """
        await self._guard.admit(who.username, ip)
        user = await self._users.by_id(who.user_id)
        if user is None or user.disabled:
            raise gone()
        if not (await self._passwords.check(present, user.password_hash)).matches:
            details: dict[str, JsonValue] = {"outcome": "refused", "error": WRONG_PASSWORD}
            await self.activity.write(self._audit("user.passwd", user.username, user.id, user.username, ip, details))
            raise wrong_password()
        self._guard.forgive(who.username, ip)
        check_new_password(present, new, user.username)
        hashed = await self._passwords.hash(new)
        entry = self._audit("user.passwd", user.username, user.id, user.username, ip, {"own": True})
        ended = await self._users.set_password(
            user.id, hashed, self._clock.time(), entry, instead_of=user.password_hash
        )
        self.sessions.forget(ended)
        audit = self._entry("user.login", user, ip=ip, reason="password_changed")
        chosen = replace(user, must_change_password=False)
        try:
            return await self.sessions.open(chosen, ip=_clean(ip), user_agent=_clean(user_agent), audit=audit)
        except StoreError as error:
            raise left_outside(error) from error

    async def change_user(
        self,
        username: str,
        *,
        role: Role | str | None = None,
        disabled: bool | None = None,
        grants: frozenset[str] | None = None,
        denials: frozenset[str] | None = None,
        actor: str = "cli",
    ) -> User:
        """Change what is given; it holds from the next request on, and disabling ends the user's sessions.

        Raises:
            InvalidRequest: Unknown role.
            NotFound: No such user.
            StoreError: The database failed.
        """
        user = await self._find(username)
        label = None if role is None else _role(role).label
        details: dict[str, JsonValue] = {
            "role": label,
            "disabled": disabled,
            "grants": None if grants is None else list[JsonValue](sorted(grants)),
            "denials": None if denials is None else list[JsonValue](sorted(denials)),
        }
        details = {key: value for key, value in details.items() if value is not None}
        ended = await self._users.change(
            user.id,
            self._clock.time(),
            role=label,
            disabled=disabled,
            grants=grants,
            denials=denials,
            audit=self._audit("user.change", actor, None, user.username, "", details),
        )
        if disabled:
            # Told before the sessions' ends, so that their sockets close for the right reason.
            self._tell(replace(user_of(user), disabled=True))
        self.sessions.forget(ended)
        self.sessions.forget_user(user.id)
        changed = user_of(await self._find(username))
        self._tell(changed)
        return changed

    @property
    def passwords(self) -> Passwords:
        """The hasher, with its limit of how many are made at a time."""
        return self._passwords

    def make_act(self, user: User, ended: Collection[str]) -> None:
        """Make a change that is stored act on what is open: the sessions that it ended, and what the user may do now.

        Never raises. Of a disabled user it is told first, so that the sockets close for the right reason.
        """
        if user.disabled:
            self._tell(user)
        self.sessions.forget(ended)
        self.sessions.forget_user(user.id)
        if not user.disabled:
            self._tell(user)

    async def find_user(self, username: str) -> User | None:
        """Return the user of that name in any case. Raises StoreError."""
        record = await self._users.by_name(username)
        return None if record is None else user_of(record)

    async def list_users(self, *, limit: int = 100, after_id: int = 0) -> list[User]:
        """Return users in order of id, those after ``after_id``. Raises StoreError."""
        return [user_of(record) for record in await self._users.page(limit=limit, after_id=after_id)]

    async def purge(self) -> int:
        """Delete sessions that ended long ago and return how many; a job calls this hourly. Raises StoreError."""
        return await self.sessions.purge()

    def statistics(self) -> dict[str, int]:
        """Return counters since start, for metrics."""
        return {
            "logins_ok": self.logins_ok,
            "logins_failed": self.logins_failed,
            "password_checks_refused": self._passwords.refused,
            "change_callback_errors": self.callback_errors,
            **{f"sessions_{key}": value for key, value in self.sessions.statistics().items()},
            **{f"login_{key}": value for key, value in self._guard.statistics().items()},
        }

    def _tell(self, user: User) -> None:
        for callback in tuple(self._changed):
            try:
                callback(user)
            except Exception:
                # One listener's fault must not keep the others ignorant.
                self.callback_errors += 1
                log.exception("user_listener_failed", user_id=user.id)

    async def _look_up(self, username: str) -> UserRecord | None:
        try:
            return await self._users.by_name(check_username(username))
        except InvalidRequest:
            return None

    async def _verify(self, user: UserRecord | None, password: str, ip: str) -> UserRecord:
        verdict = await self._passwords.check(password, None if user is None else user.password_hash)
        if user is None or user.disabled or not verdict.matches:
            self.logins_failed += 1
            reason = "unknown_user" if user is None else "disabled" if verdict.matches else "wrong_password"
            await self.activity.write(self._entry("user.login_failed", user, ip=ip, reason=reason))
            raise Unauthenticated(
                "The username or the password is wrong.",
                required_action="Check both and try again, or ask an administrator for a new password.",
                will_not="Tidewire will not say which of the two is wrong.",
                code="login_failed",
            )
        if verdict.new_hash is not None:
            await self._users.rehash(user.id, old_hash=user.password_hash, new_hash=verdict.new_hash)
        return user

    async def _refuse_barred(self, user: UserRecord, ip: str) -> None:
        try:
            self.bar(user.id)
        except Forbidden:
            self.logins_failed += 1
            await self.activity.write(self._entry("user.login_failed", user, ip=ip, reason="banned"))
            raise

    async def _find(self, username: str) -> UserRecord:
        record = await self._users.by_name(username)
        if record is None:
            raise NotFound(
                f"There is no user {username}.",
                required_action="Check the name, or add it with `tidewire user add`.",
                will_not="Tidewire will not create a user on its own.",
                code="unknown_user",
                details={"user": username},
            )
        return record

    def _entry(self, action: str, user: UserRecord | None, *, ip: str, reason: str = "") -> ActivityEntry:
        # A name that nobody has may be a password typed into the wrong field; it is not written down.
        name, user_id = ("unknown user", None) if user is None else (user.username, user.id)
        return self._audit(
            action, name, user_id, "" if user is None else name, ip, {"reason": reason} if reason else {}
        )

    def _audit(
        self, action: str, actor: str, actor_id: int | None, target: str, ip: str, details: dict[str, JsonValue]
    ) -> ActivityEntry:
        return ActivityEntry(
            at=self._clock.time(),
            actor=actor,
            action=action,
            actor_id=actor_id,
            target=target,
            details=details,
            ip=_clean(ip),
        )


def _role(role: Role | str) -> Role:
    if isinstance(role, Role):
        return role
    try:
        return Role.parse(role)
    except KeyError:
        raise InvalidRequest(
            f"There is no role {role!r}.",
            required_action="Use one of: " + ", ".join(known.label for known in Role) + ".",
            will_not="Tidewire will not guess what this user may do.",
            code="unknown_role",
            details={"role": role},
        ) from None


def _clean(text: str) -> str:
    """Return ``text`` without characters that cannot be stored or shown (Postgres refuses NUL)."""
    return "".join(char for char in text if char.isprintable())
