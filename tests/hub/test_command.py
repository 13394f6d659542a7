"""Client messages: every field missing, wrong, huge or deep gets an explicit answer, and nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core import protocol
from tidewire.core.errors import InvalidRequest
from tidewire.hub.command import Command, Commands, answer, depth, normal_json

TABLE = Commands(Command(kind, lambda session, message: b"") for kind in protocol.CLIENT_TYPES)

GOOD: dict[str, dict[str, Any]] = {
    "ping": {"last_sequence": 3},
    "subscribe": {"room_id": "app:x", "since": {"epoch": "e", "offset": 1}, "presence": True},
    "unsubscribe": {"room_id": "app:x"},
    "publish": {"room_id": "app:x", "data": {"a": [1]}, "volatile": False},
    "authenticate": {"token": "t"},
    "auth_refresh": {"token": "t"},
}
REQUIRED = {
    "subscribe": ["room_id"], "unsubscribe": ["room_id"], "publish": ["room_id", "data"], "authenticate": ["token"],
    "auth_refresh": ["token"],
}  # fmt: skip
HUGE = {"room_id": "x" * 129, "token": "x" * 5_000, "last_sequence": 2**60, "since": {"epoch": "e", "offset": -1}}


def _read(message: Any) -> Any:
    return TABLE.read(json.dumps(message).encode())


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_message_is_understood_with_unknown_fields(kind: str) -> None:
    """Fields that are not known are ignored."""
    request = _read({"type": kind, "id": 1, **GOOD[kind], "later": {"x": 1}})
    assert (request.error, request.kind, request.id) == (None, kind, 1)
    assert request.message is not None


WRONG = [
    *[(kind, {k: v for k, v in GOOD[kind].items() if k != name}) for kind, names in REQUIRED.items() for name in names],
    *[(kind, {**fields, name: []}) for kind, fields in GOOD.items() for name in fields if name != "data"],
    *[(kind, {**fields, name: HUGE[name]}) for kind, fields in GOOD.items() for name in fields if name in HUGE],
    *[(kind, {**fields, "id": bad}) for kind, fields in GOOD.items() for bad in ([], 1.5, -1, "x" * 65, 2**54)],
]


@pytest.mark.parametrize(("kind", "fields"), WRONG)
def test_a_wrong_message_is_told_which_field(kind: str, fields: dict[str, Any]) -> None:
    """The error names the type of the message, and the id is kept where it can be."""
    request = _read({"type": kind, **fields})
    assert request.error is not None
    assert (request.error.code, request.kind, request.message) == ("bad_request", kind, None)
    assert request.error.required_action
    assert request.error.will_not


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"nonsense", b"null", b"[]", b'"ping"', b"{}", b'{"type":1}', b'{"type":null,"id":1}', b"\xff",
        b"NaN",
        b'{"type":"ping",}', b"{'type':'ping'}", b'{"type":"ping"}{"type":"ping"}', b'{"type":"pi\xffng"}',
    ],
)  # fmt: skip
def test_what_is_not_a_message_is_a_bad_request(payload: bytes) -> None:
    """Bad JSON, wrong shapes, bad Unicode: one answer, no exception."""
    request = TABLE.read(payload)
    assert request.error is not None
    assert request.error.code == "bad_request"


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """And keeps its id."""
    request = _read({"type": "subscrib", "id": "a"})
    assert request.error is not None
    assert (request.error.code, request.id) == ("unknown_type", "a")
    assert "subscribe" in request.error.required_action


@given(st.recursive(st.sampled_from(['"]["', "1", '"\\\\"', '"\\""', "{}", "[]"]), lambda inner: st.one_of(
    st.lists(inner, max_size=3).map(lambda xs: f"[{','.join(xs)}]"),
    st.lists(inner, max_size=3).map(lambda xs: "{" + ",".join(f'"}}{n}":{x}' for n, x in enumerate(xs)) + "}"),
), max_leaves=30))  # fmt: skip
def test_depth_is_counted_outside_strings(text: str) -> None:
    """As deep as the parsed value is, up to the limit."""

    def measure(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(measure, inner), default=0)

    assert depth(text.encode(), 100) == measure(json.loads(text))


@pytest.mark.parametrize("payload", [b"[" * 60_000, b'{"a":' * 60, b"[" * 17 + b"]" * 17, b"[[]" * 20_000])
def test_deep_nesting_is_refused(payload: bytes) -> None:
    """Before any parser recurses."""
    request = TABLE.read(payload)
    assert request.error is not None


@pytest.mark.parametrize("raw", [b'"\\ud800"', b"NaN", b"1e999", b'"\xff"', b"[1,]", b"{"])
def test_data_that_another_parser_would_refuse_is_refused_here(raw: bytes) -> None:
    """One client cannot poison the others' parsers."""
    try:
        found = normal_json(msgspec.Raw(raw))
    except InvalidRequest:
        return
    json.loads(found, parse_constant=lambda name: pytest.fail(name))


@given(st.binary(max_size=200))
def test_any_bytes_are_read(payload: bytes) -> None:
    """Never an exception, and what has no error has a message."""
    request = TABLE.read(payload)
    assert (request.error is None) == (request.message is not None)


def test_each_request_has_one_answer() -> None:
    """With an id a reply, good or bad; without one only failures are said."""
    error = InvalidRequest("No.", required_action="Do.", will_not="Won't.")
    assert answer(None, "ping", None, b"") is None
    assert json.loads(answer(1, "ping", None, b'{"x":1}') or b"") == {
        "type": "reply",
        "id": 1,
        "ok": True,
        "data": {"x": 1},
    }
    bad = json.loads(answer("a", "ping", error, b"") or b"")
    assert (bad["ok"], bad["error"]["code"]) == (False, "bad_request")
    assert json.loads(answer(None, "ping", error, b"") or b"")["about"] == "ping"


def test_two_commands_may_not_share_a_name() -> None:
    """A feature cannot take over another's message."""
    command = Command(protocol.Ping, lambda session, message: b"")
    with pytest.raises(ValueError, match="ping"):
        Commands([command, command])
