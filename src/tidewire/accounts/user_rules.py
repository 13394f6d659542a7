"""Who may change which user, and to what. Pure; it must not know SQL, HTTP or how users are stored.

Nobody reaches beyond themselves: not above their own role, and not to permissions that they do not have, neither for
themselves nor through somebody else. And there is always a super left who can manage users.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from tidewire.accounts.model import Role, User
from tidewire.accounts.permissions import DEFAULTS, PERMISSIONS, effective_permissions
from tidewire.core.errors import Conflict, Forbidden, InvalidRequest

MANAGE = "users:manage"
_NOTHING = "Tidewire will not change anything of this user."


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be changed; None leaves it as it is."""

    role: Role | None = None
    disabled: bool | None = None
    grants: frozenset[str] | None = None
    denials: frozenset[str] | None = None

    def applied(self, user: User) -> User:
        """Return the user after it."""
        return replace(
            user,
            role=user.role if self.role is None else self.role,
            disabled=user.disabled if self.disabled is None else self.disabled,
            grants=user.grants if self.grants is None else self.grants,
            denials=user.denials if self.denials is None else self.denials,
        )


def permissions_when_enabled(user: User) -> frozenset[str]:
    """Return what somebody may do, or could do if they were not disabled."""
    return effective_permissions(replace(user, disabled=False))


def read_role(text: str) -> Role:
    """Return the role. Raises InvalidRequest."""
    found = next((role for role in Role if role.label == text), None)
    if found is not None:
        return found
    raise InvalidRequest(
        f"There is no role {text[:40]!r}.",
        required_action="Use one of: " + ", ".join(role.label for role in Role) + ".",
        will_not="Tidewire will not guess what this user may do.",
        code="unknown_role",
        details={"role": text[:40]},
    )


def read_permissions(names: Iterable[str]) -> frozenset[str]:
    """Return the permissions. Raises InvalidRequest if one is unknown."""
    found = frozenset(names)
    unknown = sorted(found - PERMISSIONS)
    if unknown:
        raise InvalidRequest(
            f"There is no permission {unknown[0][:40]!r}.",
            required_action="Use: " + ", ".join(sorted(PERMISSIONS)) + ".",
            will_not="Tidewire will not store a permission that means nothing.",
            code="unknown_permission",
            details={"permission": unknown[0][:40]},
        )
    return found


def require_manager(actor: User) -> None:
    """Raise Forbidden unless ``actor`` manages users at this moment."""
    if MANAGE not in effective_permissions(actor):
        raise Forbidden(
            f"This needs the permission {MANAGE}, which you do not have (any more).",
            required_action="Ask an administrator to grant it.",
            will_not=_NOTHING,
            details={"permission": MANAGE},
        )


def require_reach(actor: User, target: User) -> None:
    """Raise Forbidden unless ``actor`` may touch ``target`` at all."""
    require_manager(actor)
    if target.role > actor.role:
        raise Forbidden(
            f"{target.username} is {target.role.label}, which is above your own role {actor.role.label}.",
            required_action=f"Ask somebody who is {target.role.label}.",
            will_not=_NOTHING,
            code="above_own_role",
            details={"role": target.role.label, "own": actor.role.label},
        )


def require_equal_rights(actor: User, target: User) -> None:
    """Raise Forbidden if ``target`` may do what ``actor`` may not: whoever sets a password can be that user."""
    require_reach(actor, target)
    _require_own(actor, permissions_when_enabled(target))


def decide(actor: User, target: User, change: UserChange, supers: Collection[User]) -> User:
    """Return the user after the change.

    Args:
        actor, target: As they are stored at this moment.
        supers: Every super who is not disabled.

    Raises:
        Forbidden: It reaches beyond the actor, or the actor would be disabled by themselves.
        Conflict: ``last_super``: nobody would be left who can manage users.
    """
    require_reach(actor, target)
    after = change.applied(target)
    if after.role > actor.role:
        raise Forbidden(
            f"The role {after.role.label} is above your own role {actor.role.label}.",
            required_action=f"Choose {actor.role.label} or lower, or ask somebody who is {after.role.label}.",
            will_not=_NOTHING,
            code="above_own_role",
            details={"role": after.role.label, "own": actor.role.label},
        )
    if actor.id == target.id and after.disabled and not target.disabled:
        raise Forbidden(
            "You cannot disable yourself.",
            required_action="Ask another administrator to do it.",
            will_not=_NOTHING,
            code="not_yourself",
        )
    _require_own(actor, permissions_when_enabled(after) - permissions_when_enabled(target))
    others = [user for user in supers if user.id != target.id and _keeps_the_keys(user)]
    if _keeps_the_keys(target) and not _keeps_the_keys(after) and not others:
        raise Conflict(
            f"{target.username} is the last super who can manage users.",
            required_action="Make somebody else super first.",
            will_not="Tidewire will not lock everybody out of the management of users.",
            code="last_super",
            details={"user": target.username},
        )
    return after


def _keeps_the_keys(user: User) -> bool:
    return user.role == Role.SUPER and MANAGE in effective_permissions(user)


def _require_own(actor: User, permissions: frozenset[str]) -> None:
    beyond = sorted(permissions - effective_permissions(actor))
    if beyond:
        raise Forbidden(
            f"You do not have {', '.join(beyond)} yourself.",
            required_action="Ask somebody who has it.",
            will_not=_NOTHING,
            code="beyond_own_permissions",
            details={"permissions": ", ".join(beyond)},
        )


def rule_book() -> dict[str, list[str]]:
    """Return what each role may do without grants and denials."""
    return {role.label: sorted(DEFAULTS[role]) for role in Role}
