"""What a tick on the bus becomes in a room, and what does not become anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.core.market import Tick
from tidewire.market.rules import MAX_PAYLOAD_BYTES, TickMessage, symbol_of, tick_body

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
GOOD: dict[str, Any] = {
    "type": "market_tick",
    "symbol": "AAPL",
    "price": 1.5,
    "volume": 10,
    "timestamp": 1_700_000_000.0,
    "source": "other",
}


def test_the_feeds_own_ticks_become_data() -> None:
    """Every field of the contract is passed on; what only operators need is not."""
    tick = Tick("BRK.B", 2.5, 7.0, 1_700_000_000.0, "massive", "connection_1", "T", 1.0, 2.0, 3)
    payload = msgspec.json.encode(tick)
    assert symbol_of(payload) == "BRK.B"
    shown = tick_body(payload, "BRK.B")
    assert shown is not None
    assert shown.place is None
    assert json.loads(shown.body)["data"] == {
        "symbol": "BRK.B",
        "price": 2.5,
        "volume": 7.0,
        "timestamp": 1_700_000_000.0,
        "source": "massive",
        "connection_id": "connection_1",
        "event": "T",
    }


def test_another_programs_fields_are_not_passed_on() -> None:
    """What the contract does not name may be anything, so it goes nowhere."""
    shown = tick_body(json.dumps({**GOOD, "secret": "x"}).encode(), "AAPL")
    assert shown is not None
    assert set(json.loads(shown.body)["data"]) == {
        "symbol",
        "price",
        "volume",
        "timestamp",
        "source",
        "connection_id",
        "event",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"},
        {"type": None},
        {"symbol": ""},
        {"symbol": "A" * 33},
        {"symbol": 7},
        {"price": 0},
        {"price": -1},
        {"price": "1"},
        {"price": None},
        {"price": 1e13},
        {"volume": -1},
        {"timestamp": 1_700_000_000_000},
        {"timestamp": 0},
        {"source": ""},
        {"connection_id": 5},
        {"event": "x" * 17},
        {"more": "x" * MAX_PAYLOAD_BYTES},
    ],
)
def test_absurd_ticks_reach_no_room(change: dict[str, Any]) -> None:
    """One wrong field costs the tick."""
    assert tick_body(json.dumps({**GOOD, **change}).encode(), "AAPL") is None


@pytest.mark.parametrize("field", ["type", "symbol", "price", "volume", "timestamp", "source"])
def test_incomplete_ticks_reach_no_room(field: str) -> None:
    """A missing field costs the tick."""
    assert tick_body(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode(), "AAPL") is None


@settings(max_examples=50)
@given(st.binary(max_size=80) | st.binary(max_size=20).map(lambda rest: b'{"type":"market_tick","symbol":"' + rest))
def test_any_bytes_are_harmless(payload: bytes) -> None:
    """Whatever comes on the channel, nothing is raised, and a symbol is text."""
    assert tick_body(payload, "AAPL") is None
    symbol = symbol_of(payload)
    assert symbol is None or isinstance(symbol, str)


def test_a_tick_goes_to_its_own_room_only() -> None:
    """A message that names two symbols, or another than it begins with, is no tick of the first."""
    payload = b'{"type":"market_tick","symbol":"AAPL","price":1,"volume":1,"timestamp":1700000000,"source":"x",'
    assert tick_body(payload + b'"symbol":"MSFT"}', "AAPL") is None
    assert tick_body(payload + b'"event":"T"}', "AAPL") is not None


def test_the_document_shows_a_tick_as_it_is() -> None:
    """The example in docs/protocol.md is what the struct encodes."""
    (example,) = re.findall(r"```json\n(\{\"type\":\"tick\".*?)\n```", DOCUMENT)
    message = msgspec.json.decode(example, type=TickMessage)
    assert json.loads(msgspec.json.encode(message)) == json.loads(example)
