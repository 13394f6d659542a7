"""Users, their logins and what is sent to change them, as documents. Pure; it must not know SQL, or who asks."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tidewire.accounts.sessions import user_of
from tidewire.accounts.user_rules import permissions_when_enabled
from tidewire.hub.census import ConnectionRow
from tidewire.hub.node_info import Silent
from tidewire.store.records import SessionRecord
from tidewire.store.user_edits import ListedUser

_Word = Annotated[str, msgspec.Meta(max_length=64)]
# Bounded here, judged by the policy, so that its sentence is the answer.
_Name = Annotated[str, msgspec.Meta(max_length=20_000)]
_Password = Annotated[str, msgspec.Meta(max_length=20_000)]
_Words = Annotated[list[_Word], msgspec.Meta(max_length=64)]


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user. ``logins``: sessions that have not ended; ``permissions``: what they may do (nothing when disabled)."""

    id: int
    username: str
    role: str
    disabled: bool
    grants: list[str]
    denials: list[str]
    permissions: list[str]
    created_at: float
    password_changed_at: float
    must_change_password: bool
    logins: int
    last_seen: float | None
    version: int


class UsersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users. ``kept``: those of ``keep`` that are not on the page; ``cursor`` asks for the next page."""

    users: list[UserRow]
    kept: list[UserRow]
    matching: int
    cursor: str | None
    at: float


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rule book, and how far whoever asks reaches. ``roles``: role -> its permissions, in ascending order."""

    roles: dict[str, list[str]]
    permissions: list[str]
    own_id: int
    own_role: str
    own_permissions: list[str]


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A login. ``id`` is public; the cookie's secret exists nowhere but in the browser."""

    id: str
    created_at: float
    last_seen: float
    expires_at: float
    ip: str
    user_agent: str


class SessionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The logins of a user that have not ended, newest first."""

    sessions: list[SessionRow]
    at: float


class SocketsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The connections of a user on all nodes; ``complete``: every node has answered."""

    connections: list[ConnectionRow]
    matching: int
    complete: bool
    silent: list[Silent]
    cut_off: str
    at: float


class NewUserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new user; without a password one is made, and shown once."""

    username: _Name
    password: _Password | None = None
    role: _Word = "user"
    disabled: bool = False
    grants: _Words = []
    denials: _Words = []


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change; what is left out stays. ``version``: of the user that was looked at."""

    version: int
    role: _Word | None = None
    disabled: bool | None = None
    grants: _Words | None = None
    denials: _Words | None = None


class PasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A password; without one it is made, and shown once."""

    password: _Password | None = None


class CreatedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The new user. ``password``: if it was made here; it is nowhere else, and not shown again."""

    user: UserRow
    password: str | None


class PasswordAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How many logins the new password has ended; ``password`` as in ``CreatedAnswer``."""

    sessions_ended: int
    password: str | None


class EndedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How many logins have ended."""

    sessions_ended: int


def row_of(listed: ListedUser) -> UserRow:
    """Return a user as people see it."""
    user = user_of(listed.user)
    return UserRow(
        id=user.id,
        username=user.username,
        role=user.role.label,
        disabled=user.disabled,
        grants=sorted(user.grants),
        denials=sorted(user.denials),
        permissions=[] if user.disabled else sorted(permissions_when_enabled(user)),
        created_at=listed.user.created_at,
        password_changed_at=listed.user.password_changed_at,
        must_change_password=listed.user.must_change_password,
        logins=listed.logins,
        last_seen=listed.last_seen,
        version=listed.user.version,
    )


def session_row(record: SessionRecord) -> SessionRow:
    """Return a login as people see it."""
    return SessionRow(
        id=record.id,
        created_at=record.created_at,
        last_seen=record.last_seen,
        expires_at=record.expires_at,
        ip=record.ip,
        user_agent=record.user_agent,
    )
