"""The wire messages and the document that promises them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core import protocol
from tidewire.core.close_code import CLOSE_CODES, Reconnect, reconnect_after
from tidewire.core.errors import RateLimited, SettingsError, StoreError

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def _examples(heading: str) -> list[str]:
    section = DOCUMENT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```json\n(.*?)\n```", section, re.DOTALL)


SERVER_EXAMPLES = _examples("Server to client")
CLIENT_EXAMPLES = _examples("Client to server")


@pytest.mark.parametrize("example", SERVER_EXAMPLES)
def test_every_server_example_is_what_its_struct_encodes(example: str) -> None:
    """A documented server message decodes into its struct and encodes to the same object again."""
    message = msgspec.json.decode(example, type=protocol.ServerMessage)
    assert json.loads(protocol.encode(message)) == json.loads(example)


@pytest.mark.parametrize("example", CLIENT_EXAMPLES)
def test_every_client_example_is_understood(example: str) -> None:
    """A documented client message decodes into its struct, with every documented field known to it."""
    message = msgspec.json.decode(example, type=protocol.ClientMessage)
    assert set(json.loads(example)) - {"type"} <= set(type(message).__struct_fields__)


def _tags(union: Any) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in get_args(union)}


def test_every_message_has_an_example() -> None:
    """No message exists that the document does not show."""
    assert {json.loads(e)["type"] for e in SERVER_EXAMPLES} == _tags(protocol.ServerMessage)
    assert {json.loads(e)["type"] for e in CLIENT_EXAMPLES} == _tags(protocol.ClientMessage)


def test_every_close_code_is_documented_as_it_is() -> None:
    """The document's table and the code's table say the same."""
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \| (.+?) \| (.+?) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(str(c.code), c.name, c.meaning, c.action) for c in CLOSE_CODES.values()]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [(4099, "at_once"), (4150, "backoff"), (4250, "new_token"), (4777, "never"), (1006, "backoff"), (1002, "never")],
)
def test_unknown_close_codes_are_judged_by_range(code: int, wanted: str) -> None:
    """A client does the right thing with a code it has never heard of."""
    assert reconnect_after(code) is Reconnect(wanted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(room=st.text(min_size=1, max_size=20), data=JSON, offset=st.none() | st.integers(0, 2**53), first=st.integers(1))
def test_both_subprotocols_carry_the_same_message(room: str, data: Any, offset: int | None, first: int) -> None:
    """Whatever the payload, plain and batch frames decode to the same message, sequence first."""
    sender = protocol.Sender(user_id=1, username=room)
    body = protocol.data_body(msgspec.json.encode(data), sender)
    encoded = protocol.room_message(
        "room_message", room, body, timestamp=1.5, epoch=None if offset is None else "e", offset=offset
    )
    plain = json.loads(protocol.plain_text(first, encoded))
    assert next(iter(plain)) == "sequence"
    assert plain.pop("sequence") == first
    head, *lines = protocol.batch_text(first, [encoded, encoded]).decode().split("\n")
    assert int(head) == first
    assert [json.loads(line) for line in lines] == [plain, plain]
    assert plain["data"] == data
    assert plain["room_id"] == room
    message = msgspec.json.decode(encoded, type=protocol.RoomMessage)
    assert message.offset == offset
    assert message.sender == sender


def test_errors_become_error_objects() -> None:
    """A request error says whether and when to try again; others are not promised to be temporary."""
    body = protocol.error_body(RateLimited("Too many.", required_action="Wait.", will_not="No.", retry_after_ms=20))
    assert (body.code, body.temporary, body.retry_after_ms) == ("rate_limited", True, 20)
    assert protocol.error_body(StoreError("Down.")).temporary is True
    assert protocol.error_body(SettingsError("Wrong.")).temporary is False
