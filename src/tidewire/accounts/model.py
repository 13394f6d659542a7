"""Who somebody is: roles, users and the principal that a request or socket acts as. Pure; it must not know SQL or HTTP.

Source: contract.md section 4 (roles user < moderator < admin < super) and section 6 (permissions).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import msgspec


class Role(enum.IntEnum):
    """Roles in ascending order; a higher one passes wherever a lower one does."""

    USER = 10
    MODERATOR = 20
    ADMIN = 30
    SUPER = 40

    @classmethod
    def parse(cls, text: str) -> Role:
        """Return the role named ``text`` (any case). Raises KeyError."""
        return cls[text.strip().upper()]

    @property
    def label(self) -> str:
        """The role's name as stored and shown, lower case."""
        return _LABELS[self]


_LABELS = {role: role.name.lower() for role in Role}


@dataclass(frozen=True, slots=True)
class User:
    """One row of ``users`` without its password hash.

    Attributes:
        grants, denials: Permissions beyond and taken from the role's default set.
    """

    id: int
    username: str
    role: Role
    disabled: bool = False
    grants: frozenset[str] = frozenset()
    denials: frozenset[str] = frozenset()


class Principal(msgspec.Struct, frozen=True):
    """The authenticated somebody behind a request or socket.

    Attributes:
        session_id: Public id of the session row (never the cookie's secret); logout ends all that carry it.
        permissions: Effective permissions at the time of loading.
        expires_at: When the session ends, Unix seconds.
        must_change_password: Nothing else may be done before the password is changed.
    """

    user_id: int
    username: str
    role: Role
    permissions: frozenset[str]
    session_id: str
    expires_at: float
    must_change_password: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the admin pages are open to this principal."""
        return self.role >= Role.ADMIN

    def can(self, permission: str) -> bool:
        """Whether ``permission`` is effective."""
        return permission in self.permissions
