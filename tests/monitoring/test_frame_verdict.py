"""Frames are judged by the contract's own types: each kind of fault has its verdict, and nothing breaks the judge."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.app.hub_side import MESSAGES
from tidewire.monitoring.frame_verdict import FrameReader

READER = FrameReader(*MESSAGES)
SUBSCRIBED = (
    '"type":"subscribed","room_id":"app:x","epoch":"e","offset":3,"recovered":false,"replayed":0,"delivery":"latest"'
)


@pytest.mark.parametrize(
    ("direction", "text", "marks", "expected"),
    [
        ("in", '{"type":"subscribe","id":1,"room_id":"app:x"}', {}, ("subscribe", "Subscribe", "fits")),
        ("in", '{"type":"subscribe","id":1}', {}, ("subscribe", "Subscribe", "broken")),
        ("in", '{"type":"subscribed","room_id":"x"}', {}, ("subscribed", "", "unknown_type")),
        ("in", '{"type":7}', {}, ("", "", "unknown_type")),
        ("in", "[1]", {}, ("", "", "unknown_type")),
        ("in", '{"type":', {}, ("", "", "no_json")),
        ("in", '{"type":', {"cut": True}, ("", "", "altered")),
        ("in", "\ud800", {}, ("", "", "no_json")),
        ("out", '{"sequence":4,' + SUBSCRIBED + "}", {}, ("subscribed", "Subscribed", "fits")),
        ("out", '{"sequence":4,"type":"pong","timestamp":"now"}', {}, ("pong", "Pong", "broken")),
        ("out", '{"type":"pong","timestamp":"<hidden>"}', {"redacted": True}, ("pong", "Pong", "altered")),
        ("control", "close 4503 force_disconnect", {}, ("", "", "control")),
    ],
)
def test_a_frame_has_its_verdict(
    direction: Literal["in", "out", "control"], text: str, marks: dict[str, bool], expected: tuple[str, str, str]
) -> None:
    """By the types that the hub itself reads with, and by the direction in which it went."""
    cut, redacted = marks.get("cut", False), marks.get("redacted", False)
    (message,) = READER.read(direction, text, cut=cut, redacted=redacted).messages
    assert (message.type, message.struct, message.fit) == expected
    assert bool(message.problem) == (message.fit in ("broken", "no_json", "altered"))


def test_a_batch_is_read_message_by_message() -> None:
    """The number on the first line is the first one's sequence; one that is broken does not hide the others."""
    read = READER.read(
        "out", '9\n{"type":"heartbeat","timestamp":1.5}\n{"type":"pong"}\n{"type":"heart', cut=True, redacted=False
    )
    assert (read.batch, read.sequence) == (True, 9)
    assert [each.fit for each in read.messages] == ["fits", "broken", "altered"]
    single = READER.read("out", '{"sequence":4,"type":"heartbeat","timestamp":1.5}', cut=False, redacted=False)
    assert (single.batch, single.sequence) == (False, 4)


@given(st.sampled_from(["in", "out", "control"]), st.text(max_size=200), st.booleans(), st.booleans())
def test_any_text_has_a_verdict(direction: Any, text: str, cut: bool, redacted: bool) -> None:
    """Whatever a client sent."""
    assert READER.read(direction, text, cut=cut, redacted=redacted).messages
