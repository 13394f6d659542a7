"""Slots, owners and redirections of a Redis cluster, by the specification."""

from __future__ import annotations

import pytest

from tidewire.bus.cluster_map import SLOTS, ClusterMap, Node, Redirect, redirect, slot_of
from tidewire.bus.room_log import channel_of

HERE = Node("10.0.0.1", 7000)


def test_a_slot_is_the_crc_of_the_tag_or_of_the_whole_name() -> None:
    """The specification's own examples."""
    assert slot_of(b"123456789") == 0x31C3
    assert slot_of(b"{user1000}.following") == slot_of(b"{user1000}.followers") == slot_of(b"user1000")
    assert slot_of(b"foo{{bar}}zap") == slot_of(b"{bar")
    assert slot_of(b"foo{bar}{zap}") == slot_of(b"bar")
    assert slot_of(b"foo{}{bar}") != slot_of(b"bar")
    assert slot_of(b"foo{bar") != slot_of(b"bar")


def test_a_room_and_its_channel_share_a_slot() -> None:
    """Otherwise no script could write to the one and announce on the other."""
    assert slot_of(channel_of("app:lobby").encode()) == slot_of(b"tidewire:log:{app:lobby}:head")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("MOVED 3999 10.0.0.2:6381", Redirect("MOVED", 3999, Node("10.0.0.2", 6381))),
        ("ASK 3999 :6381", Redirect("ASK", 3999, Node("10.0.0.1", 6381))),
        ("MOVED 1 2001:db8::1:6381", Redirect("MOVED", 1, Node("2001:db8::1", 6381))),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Redirect("TRYAGAIN")),
        ("MOVED 16384 10.0.0.2:6381", None),
        ("MOVED x 10.0.0.2:6381", None),
        ("MOVED 1 10.0.0.2:", None),
        ("NOPERM no", None),
    ],
)
def test_a_refusal_is_read_or_left_alone(words: str, expected: Redirect | None) -> None:
    """What does not say where to go is no redirection."""
    assert redirect(words, HERE) == expected


def test_the_answer_of_a_server_becomes_the_map() -> None:
    """Owners by range, replicas only as somebody to ask, an empty host for whoever answered; changes are told."""
    slots = ClusterMap()
    answer = [
        [0, 8191, [b"", 7000, b"a"], [b"10.0.0.9", 7009, b"r"]],
        [8192, SLOTS - 1, [b"10.0.0.2", 7001, b"b"]],
    ]
    assert slots.replace(answer, HERE)
    assert not slots.replace(answer, HERE)
    assert (slots.owner(0), slots.owner(8192)) == (HERE, Node("10.0.0.2", 7001))
    assert slots.owners() == {HERE, Node("10.0.0.2", 7001)}
    assert set(slots.nodes) == {HERE, Node("10.0.0.2", 7001), Node("10.0.0.9", 7009)}
    assert slots.moved(0, Node("10.0.0.3", 7002))
    assert not slots.moved(0, Node("10.0.0.3", 7002))
    assert slots.owner(0) == Node("10.0.0.3", 7002)
    assert slots.replace(answer[:1], HERE)
    assert slots.owner(8192) is None


@pytest.mark.parametrize("answer", [b"OK", [[0, 1]], [[0, SLOTS, [b"h", 1]]], [[0, 1, b"h"]], [[0, 1, [b"h", b"1"]]]])
def test_an_answer_that_is_none_changes_nothing(answer: object) -> None:
    """A map half replaced would send rooms to two places."""
    slots = ClusterMap()
    slots.moved(1, HERE)
    with pytest.raises(ValueError, match="not a"):
        slots.replace(answer, HERE)
    assert slots.owner(1) == HERE
