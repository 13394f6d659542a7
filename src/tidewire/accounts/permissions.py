"""The one rule book: which role may do what. Pure; it must not know where the question comes from.

Source: contract.md section 6.
"""

from __future__ import annotations

from collections.abc import Callable

from tidewire.accounts.model import Principal, Role, User
from tidewire.core.errors import Forbidden

# Told (who, what was asked, from which address) when somebody known lacks a role or permission; it must not wait.
NoteRefused = Callable[[Principal, str, str], None]

PERMISSIONS = frozenset(
    {
        "market:view",
        "quote:view",
        "quote:edit",
        "premium:view",
        "analytics:read",
        "audit:read",
        "rooms:publish",
        "feed:control",
        "users:manage",
    }
)

_USER = frozenset({"market:view", "quote:view", "quote:edit"})
_MODERATOR = _USER | {"premium:view", "analytics:read"}
_ADMIN = _MODERATOR | {"audit:read", "rooms:publish", "feed:control"}

DEFAULTS: dict[Role, frozenset[str]] = {
    Role.USER: _USER,
    Role.MODERATOR: _MODERATOR,
    Role.ADMIN: _ADMIN,
    Role.SUPER: PERMISSIONS,
}


def effective_permissions(user: User) -> frozenset[str]:
    """Return what ``user`` may do: the role's set, plus grants, minus denials; nothing when disabled."""
    if user.disabled:
        return frozenset()
    return ((DEFAULTS[user.role] | user.grants) - user.denials) & PERMISSIONS


def lacks_right(error: Exception) -> bool:
    """Whether somebody was refused for a role or permission that they lack; a ban, for example, is something else."""
    return isinstance(error, Forbidden) and error.code == Forbidden.code
