"""Who may change whom: the whole table of roles, and any change at all by hypothesis."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.accounts.model import Role, User
from tidewire.accounts.permissions import DEFAULTS, PERMISSIONS, effective_permissions
from tidewire.accounts.user_rules import (
    MANAGE,
    UserChange,
    decide,
    permissions_when_enabled,
    read_permissions,
    read_role,
    require_equal_rights,
    rule_book,
)
from tidewire.core.errors import Conflict, Forbidden, InvalidRequest, RequestError

BOSS = User(1, "boss", Role.SUPER)
ADA = User(2, "ada", Role.ADMIN, grants=frozenset({MANAGE}))
BOB = User(3, "bob", Role.USER)

_sets = st.frozensets(st.sampled_from(sorted(PERMISSIONS)))
_users = st.builds(User, st.integers(1, 4), st.just("somebody"), st.sampled_from(Role), st.booleans(), _sets, _sets)
_changes = st.builds(
    UserChange, st.none() | st.sampled_from(Role), st.none() | st.booleans(), st.none() | _sets, st.none() | _sets
)


@given(_users, _users, _changes, st.lists(_users))
def test_no_change_reaches_beyond_whoever_makes_it(
    actor: User, target: User, change: UserChange, others: list[User]
) -> None:
    """What passes gives nobody a role or a permission that the actor has not, and leaves a super who manages users."""
    target = actor if actor.id == target.id else target
    # The others are others.
    others = [replace(user, id=10 + n) for n, user in enumerate(others)]
    supers = [user for user in (actor, target, *others) if user.role is Role.SUPER and not user.disabled]
    try:
        after = decide(actor, target, change, supers)
    except RequestError:
        return
    assert MANAGE in effective_permissions(actor)
    assert max(target.role, after.role) <= actor.role
    assert permissions_when_enabled(after) - permissions_when_enabled(target) <= effective_permissions(actor)
    assert not (actor.id == target.id and after.disabled and not target.disabled)
    left = [user for user in supers if user.id != target.id] + [after]
    had = any(user.role is Role.SUPER and MANAGE in effective_permissions(user) for user in supers)
    assert not had or any(user.role is Role.SUPER and MANAGE in effective_permissions(user) for user in left)
    assert after == change.applied(target)


@pytest.mark.parametrize(
    ("actor", "target", "change", "code"),
    [
        (ADA, BOB, UserChange(role=Role.SUPER), "above_own_role"),
        (ADA, ADA, UserChange(role=Role.SUPER), "above_own_role"),
        (ADA, BOSS, UserChange(disabled=True), "above_own_role"),
        (ADA, ADA, UserChange(disabled=True), "not_yourself"),
        (BOSS, BOSS, UserChange(role=Role.ADMIN), "last_super"),
        (BOSS, BOSS, UserChange(denials=frozenset({MANAGE})), "last_super"),
        (BOB, ADA, UserChange(disabled=True), "permission_denied"),
        (replace(ADA, denials=frozenset({"audit:read"})), BOB, UserChange(role=Role.ADMIN), "beyond_own_permissions"),
        (
            replace(ADA, denials=frozenset({"audit:read"})),
            replace(ADA, denials=frozenset({"audit:read"})),
            UserChange(denials=frozenset()),
            "beyond_own_permissions",
        ),
    ],
)
def test_each_refusal_has_its_code(actor: User, target: User, change: UserChange, code: str) -> None:
    """Above one's role, oneself, the last super, beyond one's permissions."""
    with pytest.raises((Forbidden, Conflict)) as refused:
        decide(actor, target, change, [BOSS])
    assert refused.value.code == code
    assert all(refused.value.describe().values())


def test_what_may_be_done_is_done() -> None:
    """An admin who manages users raises somebody to admin; a super leaves when there is another one."""
    assert decide(ADA, BOB, UserChange(role=Role.ADMIN), [BOSS]).role is Role.ADMIN
    second = replace(BOSS, id=9)
    assert decide(BOSS, BOSS, UserChange(role=Role.USER), [BOSS, second]).role is Role.USER
    disabled = replace(BOB, disabled=True, role=Role.ADMIN)
    assert not decide(ADA, disabled, UserChange(disabled=False), [BOSS]).disabled


def test_a_password_makes_nobody_more_than_they_are() -> None:
    """Whoever sets a password can be that user, so that user must not be able to do more."""
    require_equal_rights(ADA, BOB)
    with pytest.raises(Forbidden) as refused:
        require_equal_rights(replace(ADA, denials=frozenset({"quote:edit"})), BOB)
    assert refused.value.code == "beyond_own_permissions"


@pytest.mark.parametrize("text", ["root", "", "SUPER", " admin", "x" * 10_000, "admin\x00", "30"])
def test_other_roles_are_refused(text: str) -> None:
    """Only the four names, as they are written."""
    with pytest.raises(InvalidRequest) as refused:
        read_role(text)
    assert refused.value.code == "unknown_role"
    assert "super" in refused.value.required_action


def test_permissions_and_roles_are_those_of_the_rule_book() -> None:
    """What the page shows of a role is the rule book's; an unknown permission is named."""
    assert rule_book() == {role.label: sorted(DEFAULTS[role]) for role in Role}
    assert read_permissions(["audit:read", "audit:read"]) == {"audit:read"}
    with pytest.raises(InvalidRequest, match="audit:write") as refused:
        read_permissions(["audit:read", "audit:write"])
    assert refused.value.code == "unknown_permission"
