"""The rule book for rooms: every family, every role, every wrong name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hub_server import principal
from tidewire.accounts.grants import FAMILIES, grant_for, own_room, require_enter, require_publish, resolve
from tidewire.accounts.model import Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.core.errors import Forbidden, InvalidRequest

UUID = "0b1f6d9a-9d3e-4a57-8f3e-0a1b2c3d4e5f"
USER, ADMIN = principal(7), principal(7, Role.ADMIN)


@pytest.mark.parametrize(
    ("room", "anonymous", "user", "admin"),
    [
        ("market:BRK.B", "", "e", "e"),
        (f"quote:{UUID}", "", "e", "e"),
        ("analytics:quotes.h72.s-ca.p-personal_auto", "", "", "e"),
        ("admin:system_monitoring:7", "", "", "e"),
        ("admin:user_activity:8", "", "", ""),
        ("admin:performance:7", "", "", "e"),
        ("user:7", "", "e", "e"),
        ("user:8", "", "", ""),
        ("app:lobby:a", "", "e", "ep"),
        ("public:news", "e", "e", "ep"),
    ],
)
def test_who_may_do_what(room: str, anonymous: str, user: str, admin: str) -> None:
    """Each family's line in the contract, for nobody, a user and an administrator with number 7."""
    address = resolve(room)
    for who, wanted in ((None, anonymous), (USER, user), (ADMIN, admin)):
        grant = grant_for(who, address)
        assert ("e" if grant.enter else "") + ("p" if grant.publish else "") == wanted


def test_watching_the_nodes_needs_the_permission_and_performance_the_role_too() -> None:
    """A moderator who may read analytics watches the nodes, not performance; an administrator without it neither."""
    moderator = principal(7, Role.MODERATOR)
    without = principal(7, Role.ADMIN, permissions=DEFAULTS[Role.ADMIN] - {"analytics:read"})
    rooms = [resolve(f"admin:{kind}:7") for kind in ("system_monitoring", "performance", "user_activity")]
    assert [grant_for(moderator, room).enter for room in rooms] == [True, False, False]
    assert [grant_for(without, room).enter for room in rooms] == [False, False, True]
    assert not grant_for(moderator, resolve("admin:system_monitoring:8")).enter


@pytest.mark.parametrize(
    "room",
    [
        "", ":", "app", "app:", "App:x", "app:X", "app:a b", "app:*", "app:\r\n", "app:../x", "app:{x}",
        "app:" + "a" * 125, "market:aapl", "market:", "market:A B", "market:AAPL\n", "quote:1", f"quote:{UUID.upper()}",
        "user:0", "user:x", "user:7 ", "admin:7", "admin:nothing:7", "admin:performance:", "admin:performance:7:8",
        "unknown:x", "äpp:x", "analytics:sales", "analytics:quotes.h0", "analytics:quotes.x", "analytics:quotes.s-CA",
    ],
)  # fmt: skip
def test_other_names_are_no_rooms(room: str) -> None:
    """Wildcards, control characters, wrong case and unknown families name nothing."""
    with pytest.raises(InvalidRequest):
        resolve(room)


@given(st.text(max_size=140))
def test_any_text_is_a_known_family_or_refused(text: str) -> None:
    """No text leads to a room outside the families."""
    try:
        address = resolve(text)
    except InvalidRequest:
        return
    assert address.family in FAMILIES
    assert address.room_id == text


def test_refusals_say_what_is_missing() -> None:
    """A refusal names the permission and what will not happen."""
    with pytest.raises(Forbidden, match="analytics:read") as entering:
        require_enter(USER, resolve("analytics:quotes"))
    assert entering.value.will_not
    with pytest.raises(Forbidden, match="rooms:publish"):
        require_publish(USER, resolve("app:lobby"))
    with pytest.raises(Forbidden, match="no messages from clients"):
        require_publish(ADMIN, resolve("market:AAPL"))
    assert require_publish(ADMIN, resolve("app:lobby")).publish


@given(st.integers(1, 10**12))
def test_a_users_own_room_is_the_one_of_that_name(user_id: int) -> None:
    """The short way to the address leads to the same room, with the same rule, as its name does."""
    assert own_room(user_id) == resolve(f"user:{user_id}")
