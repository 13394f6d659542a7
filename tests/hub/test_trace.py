"""A trace of a connection: every frame in both directions, nothing secret, bounded, and gone when who looks is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.conftest import Client, Stage
from tests.hub.test_nodes_as_one import Three, started
from tidewire.core.protocol import data_body
from tidewire.hub import tap as tap_module
from tidewire.hub import traces as traces_module
from tidewire.hub.frame import payloads_of, text_frames
from tidewire.hub.room import EVERYBODY
from tidewire.hub.taps import RoomTap
from tidewire.hub.trace import LEASE_S, SILENT_AFTER_S, Trace
from tidewire.hub.trace_line import TEXT_MAX_CHARS, trace_line, without_secrets
from tidewire.hub.traces import Opened, Target, Terms, Traces

SECRETS = ["hunter2-hunter2", "twk_0123456789ab_abcdefghijkl", "aaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "shape",
    [
        '{"type":"authenticate","token":"%s"}',
        '{"type":"auth_refresh","id":1,"token": "%s" }',
        '{"type":"publish","room_id":"app:x","data":{"deep":[{"Password":"%s"}]}}',
        '{"type":"publish","data":{"api_key":{"value":"%s"},"apiKey":["%s"]}}',
        '{"authorization":"Bearer %s"}',
        '{"type":"authenticate","token":"%s',
        '7\n{"type":"message","data":1}\n{"type":"message","data":{"cookie":"%s"}}',
    ],
)
def test_a_secret_is_in_no_line(shape: str, secret: str) -> None:
    """By the name of its member, at any depth, in the batch form, and in what is cut off in the middle."""
    text, redacted = without_secrets(shape.replace("%s", secret))
    assert secret not in text
    assert redacted
    line = trace_line("in", shape.replace("%s", secret).encode(), 1.0)
    assert secret not in line.text
    assert line.redacted


@pytest.mark.parametrize("secret", SECRETS[1:])
def test_what_looks_like_a_token_is_hidden_wherever_it_stands(secret: str) -> None:
    """A key pasted into a chat is none of the operator's business."""
    text, redacted = without_secrets(json.dumps({"type": "publish", "data": {"text": f"my key is {secret}, ok?"}}))
    assert secret not in text
    assert redacted
    assert "my key is" in text


@pytest.mark.parametrize(
    "text",
    ['{"type":"ping","id":1}', '{"sequence": 4, "token_expires_at": 17.5}', "not json", '{"a":"1.2.3", "b":null}'],
)
def test_what_is_no_secret_is_shown_as_it_was(text: str) -> None:
    """Byte for byte, spaces and all; times and numbers are no secrets by their name."""
    assert without_secrets(text) == (text, False)


@given(st.binary(max_size=200))
def test_any_frame_makes_a_line(payload: bytes) -> None:
    """Whatever a client sends, a line says how long it was."""
    assert trace_line("in", payload, 1.0).bytes == len(payload)


def test_a_long_frame_is_cut_and_says_so() -> None:
    """Its length is the real one."""
    line = trace_line("out", b"x" * (TEXT_MAX_CHARS + 1), 1.0)
    assert (len(line.text), line.cut, line.bytes) == (TEXT_MAX_CHARS, True, TEXT_MAX_CHARS + 1)


@given(st.lists(st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536]).map(bytes) | st.binary(), max_size=5))
def test_joined_frames_come_apart_as_they_were(payloads: list[bytes]) -> None:
    """Each length of the header is read."""
    assert payloads_of(text_frames(payloads)) == payloads


@contextlib.asynccontextmanager
async def tracing(three: Three) -> AsyncIterator[list[Traces]]:
    """Yield each node's traces; they pass on when a test says ``tick``."""
    made = [
        Traces(node, stage.hub, three.bus, three.clock) for node, stage in zip(three.nodes, three.stages, strict=True)
    ]
    try:
        yield made
    finally:
        for each in made:
            await each.stop()


async def read(trace: Trace, traces: list[Traces]) -> tuple[list[dict[str, Any]], str]:
    """Let every node pass on; return what came."""
    for each in traces:
        each.tick()
    lines, ended = await trace.next(0.05)
    return [json.loads(line) for line in lines], ended


async def ask(where: Traces, connection_id: str, **more: Any) -> Opened:
    """Ask for a trace."""
    return await where.open(
        Target("connection", connection_id), Terms(**{"seconds": 60.0, "max_bytes": 100_000, **more})
    )


async def begin(where: Traces, client: Client, **more: Any) -> Trace:
    """Begin a trace."""
    opened = await ask(where, client.session.connection_id, **more)
    assert opened.trace is not None
    return opened.trace


async def test_every_frame_in_both_directions_on_another_node() -> None:
    """In and out in order, by either way of sending; the client gets what it got without; nothing is left."""
    async with started() as three, tracing(three) as traces:
        client = await three.client(1, "user-1")
        other = await three.client(1, "user-2")
        socket, sent = client.session.socket, client.session.send
        client.read()
        trace = await begin(traces[0], client)
        client.send("subscribe", id=1, room_id="app:x")
        for number in range(2):
            three.stages[1].hub.publish("app:x", data_body(b"%d" % number))
        await three.stages[1].clock.advance(1.0)
        other.send("ping", id=5)
        lines, ended = await read(trace, traces)
        shown = [(line["direction"], json.loads(line["text"])) for line in lines]
        assert ended == ""
        assert [(way, text["type"]) for way, text in shown] == [
            ("in", "subscribe"), ("out", "subscribed"), ("out", "reply"),
            ("out", "room_message"), ("out", "room_message"),
        ]  # fmt: skip
        got = client.read()
        assert got == [text for way, text in shown if way == "out"]
        assert all(line["bytes"] == len(line["text"]) and not line["redacted"] for line in lines)
        three.stages[1].hub.force_disconnect(client.session.connection_id)
        lines, ended = await read(trace, traces)
        assert [line["text"] for line in lines][-1] == "close 4503 force_disconnect"
        assert ended == "connection_ended"
        assert (client.session.socket, client.session.send, client.session.tap) == (socket, sent, None)


async def test_a_traced_room_is_kept_and_nothing_is_missed_when_somebody_comes_back(stage: Stage) -> None:
    """Everybody leaves for longer than a room is kept; the first message after that is told."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="app:x")
    lines = tap_module.Lines(wall=stage.clock.time, max_bytes=1_000)
    tap = RoomTap(stage.hub, "app:x", EVERYBODY, lines)
    client.lose()
    await stage.clock.advance(15.0)
    stage.hub.publish("app:x", data_body(b"7"))
    assert [json.loads(json.loads(line)["text"])["data"] for line in lines.take()] == [7]
    tap.remove()


async def test_a_trace_ends_by_time_by_bytes_and_with_its_reader() -> None:
    """After its time; after its bytes, with what was too much counted; when the reader leaves or is not heard."""
    async with started() as three, tracing(three) as traces:
        client = await three.client(2, "user-1")

        async def over(trace: Trace) -> str:
            ended = (await read(trace, traces))[1]
            assert client.session.tap is None
            return ended

        trace = await begin(traces[0], client, seconds=5.0)
        await three.clock.advance(6.0)
        assert await over(trace) == "time"
        trace = await begin(traces[0], client, max_bytes=300)
        for number in range(10):
            client.send("ping", id=number)
        assert await over(trace) == "bytes"
        assert 0 < trace.dropped < 30
        trace = await begin(traces[0], client)
        trace.close()
        assert client.session.tap is None
        trace = await begin(traces[0], client)
        traces[2].tick()
        await three.clock.advance(LEASE_S + 1)
        traces[2].tick()
        assert client.session.tap is None
        # A reader that is heard keeps it.
        trace = await begin(traces[0], client)
        for _ in range(4):
            await three.clock.advance(4.0)
            assert await read(trace, traces) == ([], "")
        trace.close()


async def test_one_reader_at_a_time_and_a_few_traces_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is told why not; a node that stops ends its traces; one that falls silent is told."""
    async with started() as three, tracing(three) as traces:
        client, other = await three.client(2, "user-1"), await three.client(2, "user-2")
        trace = await begin(traces[0], client)
        again = await ask(traces[1], client.session.connection_id)
        assert (again.trace, again.refused) == (None, "It is being traced already.")
        monkeypatch.setattr(traces_module, "TRACES_MAX", 1)
        full = await ask(traces[1], other.session.connection_id)
        assert full.refused == "Its node has 1 traces and takes no more."
        nobody = await ask(traces[1], "c-never")
        assert (nobody.trace, nobody.refused, nobody.found.certain) == (None, "", True)
        await traces[2].stop()
        assert (await trace.next(0.05))[1] == "stopping"
        assert client.session.tap is None
        monkeypatch.setattr(traces_module, "TRACES_MAX", 8)
        trace = await begin(traces[0], await three.client(1, "user-3"))
        await three.clock.advance(SILENT_AFTER_S + 1)
        assert (await trace.next(0.01))[1] == "node_silent"
        await traces[0].stop()
        assert (await trace.next(0.01))[1] == "node_silent"


async def test_a_flood_is_counted_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two passings-on a connection's node keeps so much and no more; the client misses nothing."""
    monkeypatch.setattr(tap_module, "PENDING_MAX_BYTES", 1_000)
    async with started() as three, tracing(three) as traces:
        client = await three.client(0, "user-1")
        trace = await begin(traces[1], client)
        client.read()
        for number in range(40):
            client.send("ping", id=number)
        lines, _ = await read(trace, traces)
        assert 0 < len(lines) < 20
        # Each ping is answered by a reply and a pong.
        assert len(lines) + trace.dropped == 120
        assert len(client.read("reply")) == 40
