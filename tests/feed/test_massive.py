"""The codec: what is understood, what is rejected and why, and that nothing good is lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.upstream import trade
from tidewire.feed.massive import (
    Band,
    Decoded,
    FairValue,
    MinuteBar,
    Quote,
    Reject,
    SecondBar,
    Status,
    Trade,
    decode_element,
    decode_frame,
    split_frame,
)
from tidewire.feed.massive_request import encode_auth, encode_requests

T_MS = 1_700_000_000_000
BAR = {"sym": "AAPL", "v": 10, "o": 1, "c": 2, "h": 3, "l": 1, "s": T_MS, "e": T_MS + 1000}


def decode(*events: Any) -> Decoded:
    """Decode one frame of these events."""
    return decode_frame(json.dumps(list(events)).encode())


def test_every_event_type() -> None:
    """Each event of the vendor's list becomes its own struct, in order, with times in milliseconds."""
    decoded = decode(
        trade("AAPL", 7, 1.5, ds="0.25"),
        {"ev": "A", **BAR, "dv": "10.5", "z": 12.0},
        {"ev": "AM", **BAR},
        {"ev": "Q", "sym": "AAPL", "bp": 1, "bs": 2, "ap": 1.1, "as": 3, "t": T_MS},
        {"ev": "LULD", "T": "AAPL", "h": 2, "l": 1, "i": [1], "t": T_MS * 1_000_000, "q": 1},
        {"ev": "FMV", "sym": "AAPL", "fmv": 1.5, "t": T_MS * 1_000_000},
        {"ev": "status", "status": "connected", "message": "hello"},
    )
    assert decoded.rejects == []
    assert decoded.unknown == []
    assert decoded.statuses == [Status("connected", "hello")]
    kinds = [type(event) for event in decoded.events]
    assert kinds == [Trade, SecondBar, MinuteBar, Quote, Band, FairValue]
    times = [getattr(event, "t", T_MS) for event in decoded.events]
    assert times == [T_MS] * 6
    assert decoded.events[0] == Trade("AAPL", 1.5, T_MS, 100.0, 0.25, 7)
    assert isinstance(decoded.events[3], Quote)
    assert decoded.events[3].as_ == 3


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"p": 5}, "p", 5.0),
        ({"p": "5.5"}, "p", 5.5),
        ({"s": 12.0}, "s", 12.0),
        ({"q": 12.0}, "q", 12),
        ({"q": "12"}, "q", 12),
        ({"t": T_MS * 1000}, "t", T_MS),
        ({"t": T_MS * 1_000_000}, "t", T_MS),
        ({"t": float(T_MS)}, "t", T_MS),
        ({"new_field": {"deep": [1]}}, "p", 100.0),
        ({"ds": None}, "ds", None),
    ],
)
def test_numbers_are_read_leniently(change: dict[str, Any], field: str, value: object) -> None:
    """Ints, floats, numeric strings and all three units mean the same; unknown fields are ignored."""
    (event,) = decode({**trade("AAPL", 1), **change}).events
    assert getattr(event, field) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"ev":"T","sym":"A","p":NaN,"t":1700000000000}', "not_finite"),
        (b'{"ev":"T","sym":"A","p":-Infinity,"t":1700000000000}', "not_finite"),
        (b'{"ev":"T","sym":"A","p":1e999,"t":1700000000000}', "not_finite"),
        (b'{"ev":"T","sym":"A","p":0,"t":1700000000000}', "absurd_price"),
        (b'{"ev":"T","sym":"A","p":-1,"t":1700000000000}', "absurd_price"),
        (b'{"ev":"T","sym":"A","p":1000000001,"t":1700000000000}', "absurd_price"),
        (b'{"ev":"T","sym":"A","p":1,"s":-1,"t":1700000000000}', "absurd_size"),
        (b'{"ev":"T","sym":"A","p":1,"ds":"-1","t":1700000000000}', "absurd_size"),
        (b'{"ev":"T","sym":"A","p":1,"t":5}', "absurd_time"),
        (b'{"ev":"T","sym":"A","p":1,"t":1700000000}', "absurd_time"),
        (b'{"ev":"T","sym":"A","p":1,"t":99999999999999999999999}', "absurd_time"),
        (b'{"ev":"T","sym":"A","p":"cheap","t":1700000000000}', "bad_field"),
        (b'{"ev":"T","sym":"A","p":true,"t":1700000000000}', "bad_field"),
        (b'{"ev":"T","sym":"A","p":null,"t":1700000000000}', "bad_field"),
        (b'{"ev":"T","sym":"A","t":1700000000000}', "bad_field"),
        (b'{"ev":"T","sym":"","p":1,"t":1700000000000}', "bad_symbol"),
        (b'{"ev":"T","sym":5,"p":1,"t":1700000000000}', "bad_symbol"),
        (b'{"ev":"T","p":1,"t":1700000000000}', "bad_symbol"),
        (b'{"ev":"LULD","sym":"A","t":1700000000000}', "bad_symbol"),
        (b'{"sym":"A"}', "no_ev"),
        (b'{"ev":5}', "no_ev"),
        (b"5", "not_object"),
        (b"[1]", "not_object"),
        (b"{]", "not_json"),
        (b'{"ev":"T","sym":"\xff"}', "not_json"),
        (b'{"ev":"T","x":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
    ],
)
def test_rejects_are_named_and_cost_one_event(text: bytes, reason: str) -> None:
    """Each kind of rubbish has its own reason, keeps a short sample, and leaves its neighbours alone."""
    good = json.dumps(trade("GOOD", 1)).encode()
    decoded = decode_frame(b"[" + good + b"," + text + b"," + good + b"]")
    assert [event.sym for event in decoded.events] == ["GOOD", "GOOD"]
    assert [reject.reason for reject in decoded.rejects] == [reason]
    assert decoded.rejects[0].sample == text[:200].decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b"\xff\xff", "not_json"),
        (b'{"ev":"T"}', "not_array"),
        (b"7", "not_array"),
        (b"NaN", "not_json"),
        (b"[", "not_json"),
        (b"[{}", "no_ev"),
        (b"[" * 100_000, "too_deep"),
        (b"[" + b" " * (5 * 1024 * 1024) + b"]", "oversized"),
    ],
)
def test_bad_frames(frame: bytes, reason: str) -> None:
    """A frame that is not an array of events is one named reject."""
    decoded = decode_frame(frame)
    assert decoded.events == []
    assert [reject.reason for reject in decoded.rejects] == [reason]


def test_a_cut_off_frame_keeps_what_was_whole() -> None:
    """A truncated frame gives its complete events and one reject for the rest."""
    frame = json.dumps([trade("A", 1), trade("B", 1), trade("C", 1)]).encode()
    decoded = decode_frame(frame[:-10])
    assert [event.sym for event in decoded.events] == ["A", "B"]
    assert len(decoded.rejects) == 1
    decoded = decode_frame(frame[:-1])
    assert [event.sym for event in decoded.events] == ["A", "B", "C"]
    assert [reject.reason for reject in decoded.rejects] == ["not_json"]


def test_unknown_types_are_no_errors() -> None:
    """An `ev` that Tidewire does not know is reported as such."""
    decoded = decode(trade("A", 1), {"ev": "ZZ", "sym": "A"}, {"ev": "NOI", "T": "A"})
    assert (len(decoded.events), decoded.unknown, decoded.rejects) == (1, ["ZZ", "NOI"], [])


def test_a_frame_of_rubbish_is_bounded() -> None:
    """Two million bad elements cost a thousand rejects, and say that the rest was not read."""
    decoded = decode_frame(b"[" + b"1," * 100_000 + b"1]")
    assert len(decoded.rejects) == 1_001
    assert decoded.rejects[-1].reason == "too_many_rejects"


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["ev", "sym", "p", "s", "t", "q", "T", "c", "e", "status", "message", "bp", "as"])
EVENT_LIKE = st.fixed_dictionaries(
    {"ev": st.sampled_from(["T", "A", "AM", "Q", "LULD", "FMV", "status", "X"])}
).flatmap(lambda base: st.dictionaries(FIELDS, JSON_VALUE, max_size=6).map(lambda more: {**base, **more}))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.lists(EVENT_LIKE, max_size=5).map(lambda v: json.dumps(v).encode()))
def test_arbitrary_bytes_never_raise(frame: bytes) -> None:
    """Whatever arrives, decoding and splitting return."""
    decoded = decode_frame(frame)
    assert all(isinstance(reject, Reject) for reject in decoded.rejects)
    split_frame(frame)
    decode_element(frame)


# Rubbish that cannot be mistaken for an event start; unbalanced quotes and braces included.
RUBBISH = st.one_of(
    JSON_VALUE.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            b'"',
            b"{",
            b"[",
            b"]",
            b"}",
            b",",
            b"\\",
            b'{"ev":"T","sym":"A',
            b'{"ev":"T","p":NaN}',
            b"nul",
            b"{}}",
            b'"a"b"',
        ]
    ),
    st.binary(max_size=12).map(lambda data: data.replace(b"{", b"")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(RUBBISH | st.just(None), max_size=12))
def test_good_events_survive_any_neighbour(pieces: list[bytes | None]) -> None:
    """Every good event among rubbish is decoded, in order, whatever the rubbish is."""
    wanted = []
    texts = []
    for piece in pieces:
        if piece is None:
            wanted.append(len(wanted) + 1)
            texts.append(json.dumps(trade("GOOD", wanted[-1])).encode())
        else:
            texts.append(piece)
    decoded = decode_frame(b"[" + b",".join(texts) + b"]")
    found = [event.q for event in decoded.events if isinstance(event, Trade) and event.sym == "GOOD"]
    assert found == wanted


def test_requests() -> None:
    """Requests are the vendor's JSON; topics are chunked by count and by size, each named once, in order."""
    assert msgspec.json.decode(encode_auth("k")) == {"action": "auth", "params": "k"}
    topics = [f"T.S{n}" for n in range(1_100)]
    requests = [msgspec.json.decode(text) for text in encode_requests("subscribe", topics)]
    assert ",".join(request["params"] for request in requests).split(",") == topics
    assert [request["params"].count(",") + 1 for request in requests] == [500, 500, 100]
    small = list(encode_requests("unsubscribe", ["T.LONGNAME", "T.B"], max_bytes=5))
    assert len(small) == 2
    assert list(encode_requests("subscribe", [])) == []
