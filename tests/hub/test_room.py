"""A room: what is published reaches members once and in order, whatever comes between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.history_checker import check
from tests.support.room_run import STEPS, RoomRun
from tidewire.core.protocol import Since, data_body
from tidewire.hub.history import History, Publication
from tidewire.hub.room import EVERYBODY, Room, RoomRules


@given(st.lists(st.sampled_from(STEPS), max_size=80))
def test_any_interleaving_loses_doubles_and_reorders_nothing(steps: list[str]) -> None:
    """Publish, flush, disconnect, resume, restart in any order: complete, or ``recovered: false``."""
    run = RoomRun()
    for step in steps:
        run.step(step)
    run.finish()
    assert check(run.published, run.logs) == []


def _publish(room: Room[str], key: str, value: int, now: float = 0.0) -> None:
    body = data_body(json.dumps({"k": key, "v": value}).encode())
    room.publish(body, kind="room_message", now=now, timestamp=now, key=key)


def _apply(state: dict[str, int], messages: list[bytes]) -> None:
    for encoded in messages:
        data = json.loads(encoded)["data"]
        state[data["k"]] = data["v"]


@given(st.lists(st.tuples(st.sampled_from(["publish", "flush", "join"]), st.sampled_from("xyz"), st.integers(0, 99))))
def test_snapshot_and_deltas_make_the_later_snapshot(steps: list[Any]) -> None:
    """Whoever entered a ``latest`` room at any moment ends with the same state as whoever enters at the end."""
    room: Room[str] = Room("market:A", RoomRules(delivery="latest", state_keys=10), "e-1")
    states: dict[str, dict[str, int]] = {}

    def flush() -> None:
        for share in room.flush():
            for member in share.members:
                _apply(states[member], [p.encoded[EVERYBODY] for p in share.publications])
        room.settle()

    def join(name: str) -> None:
        found = room.join(name, audience=EVERYBODY, batch=False, since=None, now=0.0)
        states[name] = {}
        _apply(states[name], found.messages)

    for n, (what, key, value) in enumerate(steps):
        if what == "publish":
            _publish(room, key, value)
        elif what == "flush":
            flush()
        else:
            join(f"member-{n}")
    flush()
    join("last")
    assert all(state == states["last"] for state in states.values())


def test_audiences_see_the_same_places_with_other_contents() -> None:
    """Encoded once per audience; a member gets its own variant, live and from history."""
    rules = RoomRules(audiences=("plain", "premium"))
    room: Room[str] = Room("quote:x", rules, "e-1")
    for name, audience in (("u", "plain"), ("v", "plain"), ("p", "premium")):
        room.join(name, audience=audience, batch=False, since=None, now=0.0)
    room.publish({"plain": b'{"n":1}', "premium": b'{"n":1,"price":9}'}, kind="q", now=0.0, timestamp=0.0)
    shares = {share.audience: share for share in room.flush()}
    assert (list(shares["plain"].members), list(shares["premium"].members)) == (["u", "v"], ["p"])
    (publication,) = shares["plain"].publications
    assert b"price" not in publication.encoded["plain"]
    found = room.join("w", audience="plain", batch=False, since=Since("e-1", 0), now=0.0)
    assert found.messages == [publication.encoded["plain"]]
    with pytest.raises(KeyError):
        room.publish({"plain": b'{"n":2}'}, kind="q", now=0.0, timestamp=0.0)
    assert (room.offset, room.pending) == (1, 0)


def test_volatile_messages_have_no_place() -> None:
    """They take no offset, so that dropping one leaves no hole."""
    room: Room[str] = Room("app:x", RoomRules(), "e-1")
    room.join("a", audience=EVERYBODY, batch=False, since=None, now=0.0)
    room.publish(b'{"n":1}', kind="typing", now=0.0, timestamp=0.0, delivery="volatile")
    (share,) = room.flush()
    assert b"offset" not in share.publications[0].encoded[EVERYBODY]
    assert (room.offset, len(room.history)) == (0, 0)


def _history(**bounds: Any) -> History:
    return History(**{"max_messages": 100, "max_age_s": 100.0, "max_bytes": 10_000, **bounds})


def _fill(history: History, count: int, at: float = 0.0) -> None:
    for n in range(1, count + 1):
        history.append(Publication({EVERYBODY: b"m%d" % n}, at, "lossless", n))


@pytest.mark.parametrize(
    ("bounds", "now", "offset", "reason", "lost"),
    [
        ({"max_messages": 3}, 0.0, 1, "history_trimmed", 1),
        ({"max_age_s": 5.0}, 6.0, 1, "history_trimmed", 4),
        ({"max_bytes": 4}, 0.0, 1, "history_trimmed", 2),
        ({"max_messages": 0}, 0.0, 4, "no_history", 1),
        ({}, 0.0, 6, "offset_ahead", None),
    ],
)
def test_what_cannot_be_recovered_is_said(
    bounds: dict[str, Any], now: float, offset: int, reason: str, lost: int | None
) -> None:
    """Never a part: a reason, and how much is known to be lost."""
    history = _history(**bounds)
    _fill(history, 5)
    found = history.since(offset, newest_offset=5, audience=EVERYBODY, now=now)
    assert (found.recovered, found.messages, found.reason, found.missed_at_least) == (False, [], reason, lost)


def test_who_missed_nothing_is_recovered_even_without_history() -> None:
    """A room that keeps nothing can still say that nothing was missed."""
    history = _history(max_messages=0)
    assert history.since(0, newest_offset=0, audience=EVERYBODY, now=0.0).recovered
    _fill(history, 5)
    assert history.since(5, newest_offset=5, audience=EVERYBODY, now=0.0).recovered
    assert history.empty


def test_history_is_bounded_in_bytes_and_gives_its_tail() -> None:
    """The accounting returns to zero; the tail is the newest, oldest first."""
    history = _history(max_age_s=5.0)
    _fill(history, 5)
    assert history.tail(EVERYBODY, 2, 0.0) == [b"m4", b"m5"]
    assert history.held_bytes == 10
    history.trim(6.0)
    assert (history.held_bytes, len(history), history.empty) == (0, 0, True)


def test_an_idle_room_is_one_that_nobody_would_miss() -> None:
    """Members, history and present state each keep a room alive."""
    room: Room[str] = Room("market:A", RoomRules(delivery="latest", state_keys=1, history_age_s=5.0), "e-1")
    assert room.idle(0.0)
    room.join("a", audience=EVERYBODY, batch=False, since=None, now=0.0)
    assert not room.idle(0.0)
    assert room.leave("a")
    assert not room.leave("a")
    assert room.idle(0.0)
    _publish(room, "A", 1)
    assert not room.idle(100.0)
