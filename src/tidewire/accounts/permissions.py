"""The one rule book: which role may do what. Pure; it must not know where the question comes from.

Source: contract.md section 6.
"""

from __future__ import annotations

from tidewire.accounts.model import Role, User

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
