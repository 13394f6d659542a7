"""Filters, rows and masks of the activity log; and the document that promises its messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import InvalidRequest
from tidewire.monitoring import activity_wire
from tidewire.monitoring.activity_wire import ActivityFilters, mask, read_filters, row_of
from tidewire.monitoring.cursor import read_cursor, write_cursor
from tidewire.store.activity import ActivityFilter
from tidewire.store.records import ActivityEntry, ActivityRecord

SECTION = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8").split("\n## User activity\n", 1)[1]


def test_the_documented_messages_are_the_real_ones() -> None:
    """Each documented message decodes into its struct and encodes to the same object again; none is missing."""
    examples = re.findall(r"```json\n(.*?)\n```", SECTION.split("\n## ", 1)[0], re.DOTALL)
    every = (*activity_wire.CLIENT_TYPES, *activity_wire.SERVER_TYPES)
    kinds = {str(kind.__struct_config__.tag): kind for kind in every}
    for example in examples:
        document = json.loads(example)
        message = msgspec.json.decode(example, type=kinds[document["type"]])
        encoded = json.loads(msgspec.json.encode(message))
        if "filters" in document:
            encoded["filters"] = {name: value for name, value in encoded["filters"].items() if value}
        assert encoded == document
    assert {json.loads(example)["type"] for example in examples} == set(kinds)


@pytest.mark.parametrize(
    "given_filters",
    [
        {"who": "x" * 201},
        {"text": "x" * 1_000_000},
        {"target": "a\x00b"},
        {"action": "user.login' OR 1=1"},
        {"action": "User"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "nan"},
        {"since": float("inf")},
        {"until": -1},
        {"until": 1e30},
        {"since": "9" * 400},
        {"since": 10, "until": 10},
        {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
    ],
)
def test_absurd_filters_are_refused_in_three_sentences(given_filters: dict[str, object]) -> None:
    """Too long, of control characters, no action, no moment, nothing between: each is named."""
    with pytest.raises(InvalidRequest) as refused:
        read_filters(ActivityFilters(**given_filters))  # type: ignore[arg-type]
    assert refused.value.code == "invalid_filter"
    assert all(refused.value.describe().values())


def test_a_filter_is_read_into_one_form() -> None:
    """ISO 8601 with any zone and Unix seconds are one moment; addresses have one spelling; blanks around are none."""
    read = read_filters(
        ActivityFilters(who=" ada ", ip=" 2001:DB8:0::1 ", since="2023-11-14T23:13:20+01:00", until="1700000001.5")
    )
    assert read == ActivityFilter(who="ada", ip="2001:db8::1", since=1_700_000_000.0, until=1_700_000_001.5)
    assert read_filters(ActivityFilters()) == ActivityFilter()


def test_masked_addresses_cannot_be_asked_for() -> None:
    """Somebody who may not see an address does not find it out by a filter."""
    with pytest.raises(InvalidRequest, match="masked"):
        read_filters(ActivityFilters(ip="10.0.0.1"), masked=True)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/32", "10.1.2.0/24"),
        ("bob", "bob"),
        ("", ""),
        ("1.2.3", "1.2.3"),
        ("10.1.2.3/x", "10.1.2.0/24"),
    ],
)
def test_an_address_loses_its_last_part(text: str, masked: str) -> None:
    """IPv4 keeps 24 bits, IPv6 48, a wider network and any other text stay."""
    assert mask(text) == masked
    assert mask(mask(text)) == masked


def test_addresses_are_masked_wherever_they_stand() -> None:
    """In the address, the target and inside the details; long details are left out of messages, and said so."""
    entry = ActivityEntry(
        at=1.0, actor="ada", action="user.ban", target="10.1.2.3", ip="10.1.2.4", details={"list": [{"ip": "10.1.2.5"}]}
    )
    row = row_of(ActivityRecord(1, entry), masked=True)
    assert (row.target, row.ip, row.details) == ("10.1.2.0/24", "10.1.2.0/24", {"list": [{"ip": "10.1.2.0/24"}]})
    assert row_of(ActivityRecord(1, entry), masked=False).ip == "10.1.2.4"
    long = ActivityRecord(1, ActivityEntry(at=1.0, actor="ada", action="x", details={"reason": "x" * 5_000}))
    assert row_of(long, masked=False, brief=True).details == {"left_out_bytes": 5_013}
    assert row_of(long, masked=False).details == {"reason": "x" * 5_000}


@given(st.floats(0, 253_402_300_799), st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back(at: float, number: int) -> None:
    """Any place is the same place after it was a word."""
    assert read_cursor(write_cursor((at, number)) or "") == (at, number)


@given(st.text(max_size=200))
def test_any_other_word_is_refused(text: str) -> None:
    """No text is anything but a place, none, or a refusal."""
    try:
        place = read_cursor(text)
    except InvalidRequest:
        return
    assert (place is None) == (text == "")
