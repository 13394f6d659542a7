"""Connections that end in trouble are told, seldom and with a count."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tidewire.hub.farewell import Farewells


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 4000, 4512, 4999])
def test_ordinary_ends_are_no_news(code: int | None) -> None:
    """Who leaves, or is sent away by a plan or a logout, costs no line."""
    with capture_logs() as lines:
        Farewells().note(code, connection_id="c-1", now=0.0)
    assert lines == []


def test_trouble_is_told_at_once_then_counted() -> None:
    """A thousand slow readers are two lines, and the lines say how many; another code has a line of its own."""
    farewells = Farewells()
    with capture_logs() as lines:
        for number in range(1000):
            farewells.note(4003, connection_id=f"c-{number}", now=number / 200)
        farewells.note(1007, connection_id="c-x", now=5.0)
        farewells.note(4003, connection_id="c-last", now=11.0)
    assert [(line["code"], line["close_code"], line["count"]) for line in lines] == [
        ("slow_consumer", 4003, 1),
        ("invalid_utf8", 1007, 1),
        ("slow_consumer", 4003, 1000),
    ]
    assert all(line["required_action"] and line["will_not"] and line["what_happened"] for line in lines)
