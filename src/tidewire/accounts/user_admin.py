"""What those who manage users do with them: list, add, change, new password, log out. It must not know HTTP or pages.

Each change is decided over what is stored at that moment and written together with its line in the log; sessions and
sockets hear of it at once. What was refused for its reach is in the log too.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidewire.accounts.model import Principal, Role, User
from tidewire.accounts.policy import check_password, check_username
from tidewire.accounts.service import Accounts
from tidewire.accounts.sessions import user_of
from tidewire.accounts.user_rules import (
    UserChange,
    decide,
    permissions_when_enabled,
    require_equal_rights,
    require_manager,
    require_reach,
)
from tidewire.core.clock import Clock
from tidewire.core.errors import Conflict, Forbidden, NotFound, RequestError
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, JsonValue, SessionRecord, UserRecord
from tidewire.store.sessions import Sessions
from tidewire.store.user_edits import Edit, ListedUser, UserEdits, UserPage, UserQuery
from tidewire.store.users import Users

# Without letters and digits that look alike; 20 of them are 99 bits.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GENERATED = (5, 4)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where."""

    principal: Principal
    ip: str


def generated_password() -> str:
    """Return a password that nobody guesses and everybody can type."""
    groups, chars = GENERATED
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(chars)) for _ in range(groups))


class UserAdmin:
    """See the module's text."""

    def __init__(self, accounts: Accounts, database: Database, clock: Clock) -> None:
        self._accounts = accounts
        self._users = Users(database)
        self._sessions = Sessions(database)
        self._edits = UserEdits(database, Role.SUPER.label)
        self._clock = clock

    # ---- reading

    async def page(self, wanted: UserQuery) -> UserPage:
        """Return a page of the list. Raises StoreError."""
        return await self._edits.page(wanted, self._clock.time())

    async def get(self, user_id: int) -> ListedUser:
        """Return one user. Raises NotFound, StoreError."""
        found = await self._edits.one(user_id, self._clock.time())
        if found is None:
            raise _unknown(user_id)
        return found

    async def sessions(self, user_id: int) -> list[SessionRecord]:
        """Return the user's logins that have not ended, newest first. Raises NotFound, StoreError."""
        await self.get(user_id)
        return await self._sessions.of_user(user_id, self._clock.time())

    # ---- changing

    async def create(
        self, actor: Actor, username: str, password: str | None, wanted: UserChange
    ) -> tuple[UserRecord, str | None]:
        """Add a user; return it, and the password if it was made here. It must be changed at the first login.

        Raises:
            InvalidRequest: The name or the password does not do.
            Forbidden: The user would reach beyond the actor.
            Conflict: The name is taken.
            StoreError: The database failed.
        """
        name = check_username(username)
        chosen = password or generated_password()
        check_password(chosen, name)
        blank = User(0, name, wanted.role or Role.USER)
        user = wanted.applied(blank)
        details: dict[str, JsonValue] = {
            "role": user.role.label,
            "grants": list[JsonValue](sorted(user.grants)),
            "denials": list[JsonValue](sorted(user.denials)),
            "disabled": user.disabled,
        }
        entry = self._entry(actor, "user.add", name, details)
        by = user_of(await self._actor(actor))
        try:
            require_equal_rights(by, user)
        except Forbidden as refused:
            await self._refused(entry, refused)
            raise
        hashed = await self._accounts.passwords.hash(chosen)
        made = await self._users.create(
            name,
            hashed,
            user.role.label,
            self._clock.time(),
            entry,
            disabled=user.disabled,
            grants=user.grants,
            denials=user.denials,
            must_change_password=True,
        )
        return made, None if password else chosen

    async def change(self, actor: Actor, user_id: int, version: int, change: UserChange) -> ListedUser:
        """Change role, state, grants, denials; it acts at once on what is open.

        Raises:
            Forbidden: It reaches beyond the actor.
            Conflict: The user has been changed since ``version``, or would be the last super to go.
            NotFound: No such user.
            StoreError: The database failed.
        """

        def work(by: UserRecord, record: UserRecord, supers: list[User]) -> Edit:
            target = user_of(record)
            require_reach(user_of(by), target)
            if record.version != version:
                raise _changed(record)
            after = decide(user_of(by), target, change, supers)
            values, details = _difference(target, after)
            entry = self._entry(actor, "user.change", target.username, details)
            return Edit(entry, values, end_sessions=after.disabled and not target.disabled)

        await self._edit(actor, user_id, "user.change", work)
        return await self.get(user_id)

    async def set_password(self, actor: Actor, user_id: int, password: str | None) -> tuple[int, str | None]:
        """Set a password and end every login; return how many, and the password if it was made here.

        It must be changed at the next login, unless somebody has chosen it for themselves.

        Raises as ``change``.
        """
        record = (await self.get(user_id)).user
        chosen = password or generated_password()
        check_password(chosen, record.username)
        hashed = await self._accounts.passwords.hash(chosen)

        def work(by: UserRecord, target: UserRecord, _: list[User]) -> Edit:
            require_equal_rights(user_of(by), user_of(target))
            entry = self._entry(actor, "user.passwd", target.username, {"generated": password is None})
            # Chosen by somebody else, or on the screen: it has been seen by more than its owner.
            must_change = password is None or target.id != actor.principal.user_id
            now = self._clock.time()
            values = {"password_hash": hashed, "password_changed_at": now, "must_change_password": must_change}
            return Edit(entry, values, end_sessions=True)

        ended = await self._edit(actor, user_id, "user.passwd", work)
        return len(ended), None if password else chosen

    async def log_out(self, actor: Actor, user_id: int) -> int:
        """End every login of a user and the sockets of them; return how many logins. Raises as ``change``."""

        def work(by: UserRecord, target: UserRecord, _: list[User]) -> Edit:
            require_reach(user_of(by), user_of(target))
            return Edit(self._entry(actor, "user.logout_everywhere", target.username, {}), end_sessions=True)

        return len(await self._edit(actor, user_id, "user.logout_everywhere", work))

    async def end_session(self, actor: Actor, user_id: int, session_id: str) -> bool:
        """End one login of a user; False if it had ended. Raises as ``change``; NotFound if it is not theirs."""
        target = (await self.get(user_id)).user
        entry = self._entry(actor, "user.end_session", target.username, {"session": session_id})
        found = await self._sessions.by_id(session_id)
        if found is None or found[0].user_id != user_id:
            raise NotFound(
                f"{target.username} has no login with this id.",
                required_action="Look at the list of logins as it is now.",
                will_not="Tidewire will not end anything.",
                details={"login": session_id[:64], "user": target.username},
            )
        try:
            require_reach(user_of(await self._actor(actor)), user_of(target))
        except Forbidden as refused:
            await self._refused(entry, refused)
            raise
        return await self._accounts.sessions.revoke(session_id, entry)

    # ---- inside

    async def _edit(
        self, actor: Actor, user_id: int, action: str, work: Callable[[UserRecord, UserRecord, list[User]], Edit]
    ) -> list[str]:
        """Store what ``work`` decides and make it act; return the sessions that ended."""
        names: list[str] = []

        def decided(by: UserRecord, target: UserRecord, supers: Sequence[UserRecord]) -> Edit:
            names[:] = [target.username]
            return work(by, target, [user_of(each) for each in supers])

        try:
            done = await self._edits.edit(user_id, actor.principal.user_id, decided, self._clock.time())
        except RequestError as refused:
            if names and (isinstance(refused, Forbidden) or refused.code == "last_super"):
                await self._refused(self._entry(actor, action, names[0], {}), refused)
            raise
        if done is None:
            raise _unknown(user_id)
        record, ended = done
        self._accounts.make_act(user_of(record), ended)
        return ended

    async def _actor(self, actor: Actor) -> UserRecord:
        record = await self._users.by_id(actor.principal.user_id)
        if record is None:
            raise _unknown(actor.principal.user_id)
        require_manager(user_of(record))
        return record

    async def _refused(self, entry: ActivityEntry, refused: RequestError) -> None:
        details: dict[str, JsonValue] = {**entry.details, "outcome": "refused", "error": refused.code}
        line = ActivityEntry(
            at=entry.at,
            actor=entry.actor,
            actor_id=entry.actor_id,
            action=entry.action,
            target=entry.target,
            details=details,
            ip=entry.ip,
        )
        await self._accounts.activity.write(line)

    def _entry(self, actor: Actor, action: str, target: str, details: dict[str, JsonValue]) -> ActivityEntry:
        return ActivityEntry(
            at=self._clock.time(),
            actor=actor.principal.username,
            actor_id=actor.principal.user_id,
            action=action,
            target=target,
            details=details,
            ip=actor.ip,
        )


def _difference(before: User, after: User) -> tuple[dict[str, object], dict[str, JsonValue]]:
    """Return what to store, and what to say of it: each changed column as it is and as it was."""
    old, new = _columns(before), _columns(after)
    values = {name: value for name, value in new.items() if value != old[name]}
    details: dict[str, JsonValue] = {**values, "before": {name: old[name] for name in values}}
    if before.disabled == after.disabled:
        details["permissions"] = list[JsonValue](sorted(permissions_when_enabled(after)))
    return dict(values), details


def _columns(user: User) -> dict[str, JsonValue]:
    return {
        "role": user.role.label,
        "disabled": user.disabled,
        "grants": list[JsonValue](sorted(user.grants)),
        "denials": list[JsonValue](sorted(user.denials)),
    }


def _changed(record: UserRecord) -> Conflict:
    return Conflict(
        f"{record.username} has been changed by somebody else since you looked.",
        required_action="Look at the user as it is now, then decide again.",
        will_not="Tidewire will not overwrite what the other one has done.",
        details={"version": record.version},
    )


def _unknown(user_id: int) -> NotFound:
    return NotFound(
        f"There is no user with the number {user_id}.",
        required_action="Take one from the list of users.",
        will_not="Tidewire will not guess who was meant.",
        code="unknown_user",
        details={"user": user_id},
    )
