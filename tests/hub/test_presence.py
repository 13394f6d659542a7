"""Presence: users, not connections; a reload is no event; large rooms get differences."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.protocol import RoomEvent
from tidewire.hub.presence import LISTED_MEMBERS, Presence


def _apply(members: dict[int, str], events: list[RoomEvent]) -> None:
    for event in events:
        if event.event == "presence_state":
            members.clear()
        for gone in [*(event.left or ()), *([event.member] if event.event == "member_left" else ())]:
            assert gone is not None
            del members[gone.user_id]
        come = [event.member] if event.event == "member_joined" else []
        for new in [*(event.members or ()), *(event.joined or ()), *come]:
            assert new is not None
            members[new.user_id] = new.username
        assert event.count == len(members)


@given(
    st.lists(st.tuples(st.sampled_from(["join", "leave", "take"]), st.integers(1, 5), st.integers(0, 8)), max_size=60)
)
def test_state_and_events_make_the_later_state(steps: list[Any]) -> None:
    """Whoever took the state and every event since knows exactly who is inside."""
    presence = Presence("app:x", grace_s=10.0)
    open_connections = dict.fromkeys(range(1, 6), 0)
    known: dict[int, str] = {}
    now = 0.0
    _apply(known, [presence.state(timestamp=0.0)])
    for what, user, wait in steps:
        now += wait
        if what == "join":
            open_connections[user] += 1
            presence.join(user, f"u{user}", timestamp=now)
        elif what == "leave" and open_connections[user]:
            open_connections[user] -= 1
            presence.leave(user, now=now)
        _apply(known, presence.take(now=now, timestamp=now))
        later: dict[int, str] = {}
        _apply(later, [presence.state(timestamp=now)])
        assert known == later
        assert {user for user, count in open_connections.items() if count} <= set(known)
    _apply(known, presence.take(now=now + 11, timestamp=now))
    assert set(known) == {user for user, count in open_connections.items() if count}
    assert not presence.restless


def test_a_reload_is_no_event() -> None:
    """Somebody who is back within the grace period has never been away."""
    presence = Presence("app:x", grace_s=10.0)
    presence.join(1, "ada", timestamp=0.0)
    presence.take(now=0.0, timestamp=0.0)
    presence.leave(1, now=1.0)
    presence.join(1, "ada", timestamp=5.0)
    assert presence.take(now=30.0, timestamp=30.0) == []
    assert len(presence) == 1


def test_a_large_room_gets_one_difference_a_second() -> None:
    """Above the limit, changes are collected; the state lists a part and says so."""
    presence = Presence("app:x")
    for user in range(1, LISTED_MEMBERS + 6):
        presence.join(user, f"u{user}", timestamp=0.0)
    assert [e.event for e in presence.take(now=0.0, timestamp=0.0)] == ["presence_diff"]
    state = presence.state(timestamp=0.0)
    assert (state.count, len(state.members or ()), state.complete) == (LISTED_MEMBERS + 5, LISTED_MEMBERS, False)
    presence.join(9_001, "late", timestamp=0.2)
    assert presence.take(now=0.5, timestamp=0.5) == []
    assert presence.restless
    (event,) = presence.take(now=1.1, timestamp=1.1)
    assert [member.user_id for member in event.joined or ()] == [9_001]
