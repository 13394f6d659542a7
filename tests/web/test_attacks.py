"""The attacks of reliability.md 3.2 that need no server of their own kind, on raw sockets against the real port.

What each attack ends in is decided here; that nobody else notices is asked after each of them.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.hub_server import Doorman, Running, make_hub, principal, running
from tests.support.waiting import until
from tests.support.ws_client import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    RawClient,
    connect,
    frame,
    upgrade_request,
    upgraded,
)
from tidewire.accounts.model import Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.switchboard import HubOptions
from tidewire.web.conduct import MAX_MESSAGE_BYTES

BEARER = {"Authorization": "Bearer user-1"}
PUBLISHER = DEFAULTS[Role.USER] | {"rooms:publish"}


@pytest.fixture
def doorman() -> Doorman:
    """``writer`` is user 1 and may publish; ``other`` is user 2 and may not."""
    return Doorman({"writer": principal(1, permissions=PUBLISHER), "other": principal(2)})


@pytest.fixture
async def server(doorman: Doorman) -> AsyncIterator[Running]:
    """A hub with the limits of production."""
    async with running(make_hub(doorman)) as made:
        yield made
        await _serves(made)
        assert made.hub.statistics().failures == {}


async def _serves(server: Running) -> None:
    async with upgraded(server.port, Authorization="Bearer user-9") as client:
        client.say("ping", id=1)
        assert (await client.expect("reply"))["ok"]


async def _ask(client: RawClient, kind: str, number: int, **members: Any) -> dict[str, Any]:
    client.say(kind, id=number, **members)
    return await client.expect("reply", id=number)


def _kib(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0])


# ---- frames


@pytest.mark.parametrize("announced", [2**63 - 1, 2**40, 2**24, MAX_MESSAGE_BYTES + 1])
async def test_an_announced_size_is_refused_and_not_allocated(server: Running, announced: int) -> None:
    """1009 at the header, by fifty peers at once, without a buffer for what was announced."""
    before = _kib("VmSize")

    async def attack(number: int) -> None:
        async with upgraded(server.port, Authorization=f"Bearer user-{number}") as client:
            client.send(b"\x81\xff" + announced.to_bytes(8, "big") + b"mask")
            assert await client.close_code() == 1009

    await asyncio.gather(*(attack(number) for number in range(10, 60)))
    # A thread's arena may be mapped meanwhile (64 MiB of addresses); fifty buffers of the smallest kind would be 800.
    assert _kib("VmSize") - before < 300 * 1024


async def test_a_message_in_single_bytes_is_cut(server: Running) -> None:
    """More than 64 pieces end with 1009, however little they carry."""
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        client.send(frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b" ", fin=False) * 200)
        assert await client.close_code() == 1009
        await client.ended()


async def test_a_deflate_bomb_finds_no_decompressor(server: Running) -> None:
    """Compression is not agreed to, and a compressed frame is a breach."""
    bomb = zlib.compress(b"0" * 50_000_000, 9)[:60_000]
    async with upgraded(server.port, Sec_WebSocket_Extensions="permessage-deflate", **BEARER) as client:
        await client.expect("connection")
        client.send(frame(TEXT, bomb, rsv=4))
        assert await client.close_code() == 1002
    async with connect(server.port) as client:
        client.send(upgrade_request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits", **BEARER))
        assert "sec-websocket-extensions" not in (await client.answer()).headers


async def test_a_flood_behind_a_close_frame_is_not_read() -> None:
    """After the close frame nothing counts: nothing is answered, nothing reaches the hub, and the connection ends."""
    ended: list[ConnectionInfo] = []
    hub = make_hub(closed=ended.append)
    async with running(hub) as server, upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        client.send(frame(CLOSE, b"\x03\xe8") + frame(PING, b"x") * 500 + frame(TEXT, b'{"type":"ping","id":1}') * 50)
        assert await client.close_code() == 1000
        assert client.control == []
        await client.ended()
        await until(lambda: ended)
        assert ended[0].messages_in == 0


async def test_a_flood_after_our_close_frame_is_not_read_on(server: Running) -> None:
    """Whoever is being closed for its messages, or let in by nobody, gets no more of the others' time."""
    for bearer in ("Bearer user-1", "Bearer nobody"):
        async with upgraded(server.port, Authorization=bearer) as client:
            client.send(frame(TEXT, b"no json") * 10)
            assert await client.close_code() in (4509, 4500)
            sockets = [session.socket for session in server.hub._board.registry]
            client.send(frame(TEXT, b"{}") * 40_000)
            await client.ended()
            # What is in the read buffer when it stops is parsed to its end; the buffer is at most one read.
            assert sum(socket._ignored for socket in sockets) < 20_000  # type: ignore[attr-defined]


# ---- handshakes


async def test_an_upgrade_behind_a_request_is_not_mixed_with_its_answer(server: Running) -> None:
    """Pipelined in one packet: the answer to the first request is never written into a WebSocket."""
    for first in (
        b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ):
        async with connect(server.port) as client:
            client.send(first + upgrade_request(**BEARER))
            await client.ended()
    assert server.hub.connection_count() == 0
    assert server.gateway.refused == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer_Encoding": "chunked", "Content_Length": "5"},
        {"Transfer_Encoding": "chunked, identity"},
        {"Content_Length": "5, 6"},
        {"Upgrade": "h2c, websocket"},
        {"Connection": "Upgrade, close", "Sec_WebSocket_Key": "x"},
        {"Host": "a\r\nHost: b\r\nX-Smuggled: 1"},
        {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: BBBBBBBBBBBBBBBBBBBBBB=="},
    ],
)
async def test_ambiguous_upgrades_yield_at_most_one_connection(server: Running, headers: dict[str, str]) -> None:
    """Whatever the head says, bytes behind it never become a second request."""
    async with connect(server.port) as client:
        tail = b"0\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
        client.send(upgrade_request(**{**BEARER, **headers}) + tail + frame(CLOSE, b"\x03\xe8"))
        client.writer.write_eof()
        async with asyncio.timeout(45):
            answer = await client.reader.read()
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"hello" not in answer
    await until(lambda: server.hub.connection_count() == 0)


@pytest.mark.parametrize("path", ["/ws", "/other"])
@pytest.mark.parametrize("offered", ["\xff\xfe", "caf\xe9, tidewire.v1", "\x80" * 3_000, ",,,", "a" * 8_000])
async def test_a_subprotocol_that_is_no_token_harms_nobody(server: Running, path: str, offered: str) -> None:
    """Bytes outside ASCII in Sec-WebSocket-Protocol (they have crashed other servers): an answer, no fault of ours."""
    async with connect(server.port) as client:
        client.send(upgrade_request(path, Sec_WebSocket_Protocol=offered, **BEARER))
        reply = await client.answer()
        assert reply.status in (101, 400)
        assert reply.headers.get("sec-websocket-protocol", "tidewire.v1") == "tidewire.v1"


# ---- messages


@pytest.mark.parametrize(
    "name",
    [
        "*", "app:*", "market:*", "app:\r\nSET x 1", "app:x\n", "../../etc/passwd", "app:../x", "app:{a}:x", "app:x{",
        "app:", "app:" + "x" * 10_000, "app:\u0000", "app:\ud7ff\u202e", "APP:x", "app:X", " app:x", "user:*",
        "user:01", "user:1:2", "admin:*", "admin:performance:*", "__proto__",
        "app:%2e%2e", "market:AAPL\r\n", "market:aapl", "app:x y",
        "",
    ],
)  # fmt: skip
async def test_names_that_are_no_rooms_make_no_room(server: Running, name: str) -> None:
    """Refused for every verb, nothing is made of them, and no log line carries them."""
    with capture_logs() as logs:
        async with upgraded(server.port, Authorization="Bearer writer") as client:
            await client.expect("connection", status="connected")
            before = {room.room_id for room in server.hub.each_room()}
            for n, (kind, more) in enumerate((("subscribe", {}), ("publish", {"data": 1}), ("unsubscribe", {}))):
                reply = await _ask(client, kind, n, room_id=name, **more)
                assert reply["error"]["code"] in ("bad_request", "not_found", "permission_denied")
            assert {room.room_id for room in server.hub.each_room()} == before
    assert [line for line in logs if name and name in repr(line)] == []


POISON = [
    b'{"a":1,"a":2}', b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 400, b"-" + b"9" * 5_000,
    b"0.1" + b"0" * 900,
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'{"\\ud800":1}', b"[1,]", b"'x'", b"0x10", b"01", b'"\x00"',
    b'"\\u0000"', b"[" * 17 + b"]" * 17, b"[" * 30_000, b'{"a":' * 10_000, b'{"__proto__":{"x":1}}', b"\xef\xbb\xbf1",
    b'"</script>"',
]  # fmt: skip


@pytest.mark.parametrize("data", POISON, ids=range(len(POISON)))
async def test_poisoned_json_reaches_nobody(server: Running, data: bytes) -> None:
    """It is refused (or closes its sender), or what others get is plain JSON that every parser reads alike."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in found}) == len(found), "a key came twice"
        return dict(found)

    async with (
        upgraded(server.port, Authorization="Bearer writer") as sender,
        upgraded(server.port, Authorization="Bearer other") as reader,
    ):
        await _ask(reader, "subscribe", 1, room_id="app:x")
        sender.send(frame(TEXT, b'{"type":"publish","id":1,"room_id":"app:x","data":%b}' % data))
        if b"\xed" in data:
            assert await sender.close_code() == 1007
            return
        opcode, payload = await sender.read_frame()
        while b'"reply"' not in payload and b'"error"' not in payload:
            assert opcode == TEXT
            opcode, payload = await sender.read_frame()
        if b'"ok":true' not in payload:
            assert b'"bad_request"' in payload
            return
        while b"room_message" not in payload:
            _, payload = await reader.read_frame()
        found = json.loads(payload.decode(), object_pairs_hook=pairs, parse_constant=lambda word: pytest.fail(word))
        found["data"].__repr__().encode()


async def test_churn_in_and_out_of_a_room_is_slowed_then_closed() -> None:
    """A thousand pairs at once: the rate limit answers, the sender is closed, the room is as before."""
    async with running(make_hub()) as server, upgraded(server.port, **BEARER) as client:
        await client.expect("connection", status="connected")
        before = server.hub.statistics().rooms
        pair = frame(TEXT, b'{"type":"subscribe","room_id":"app:x"}') + frame(
            TEXT, b'{"type":"unsubscribe","room_id":"app:x"}'
        )
        client.send(pair * 2_500)
        assert await client.close_code() == 4103
        await client.ended()
        assert {message["type"] for message in client.messages} >= {"subscribed", "unsubscribed", "error", "connection"}
        await until(lambda: server.hub.connection_count() == 0)
        assert sum(len(room) for room in server.hub.each_room()) == 0
        assert server.hub.statistics().rooms <= before + 1
        await _serves(server)


async def test_churn_through_room_names_is_bounded() -> None:
    """Ever new names: a hundred rooms per connection, and no room stays behind without history."""
    options = HubOptions(messages_per_second=1e9, burst=1e9)
    async with running(make_hub(options=options)) as server, upgraded(server.port, **BEARER) as client:
        refused = 0
        for n in range(300):
            reply = await _ask(client, "subscribe", n, room_id=f"app:n{n}")
            if not reply["ok"]:
                refused += 1
                assert reply["error"]["code"] == "room_limit"
                assert (await _ask(client, "ping", n))["ok"]
        assert refused > 200 - 3
        assert server.hub.statistics().rooms <= 101


@pytest.mark.parametrize(
    "room",
    ["market:AAPL", "user:2", "user:1", "quote:00000000-0000-0000-0000-000000000000", "admin:system_monitoring:1"],
)
async def test_publishing_to_rooms_of_others_reaches_nobody(server: Running, room: str) -> None:
    """A permission to publish is one for app: and public: rooms, whatever the sender is subscribed to."""
    async with (
        upgraded(server.port, Authorization="Bearer writer") as sender,
        upgraded(server.port, Authorization="Bearer other") as victim,
    ):
        await victim.expect("connection", status="connected")
        await _ask(victim, "subscribe", 1, room_id="market:AAPL")
        reply = await _ask(sender, "publish", 1, room_id=room, data={"price": 0})
        assert reply["error"]["code"] == "permission_denied"
        assert (await _ask(victim, "ping", 2))["ok"]
        assert not [message for message in victim.messages if message["type"] == "room_message"]
        assert server.hub.statistics().published == 0


async def test_what_is_in_flight_when_a_permission_goes_is_refused(server: Running) -> None:
    """Publishes sent before, read after the revocation: none is delivered, from then on and in the same packet."""
    async with (
        upgraded(server.port, Authorization="Bearer writer") as sender,
        upgraded(server.port, Authorization="Bearer other") as reader,
    ):
        await _ask(reader, "subscribe", 1, room_id="app:x")
        assert (await _ask(sender, "publish", 1, room_id="app:x", data="before"))["ok"]
        await reader.expect("room_message", data="before")
        sender.send(b"".join(frame(TEXT, b'{"type":"publish","room_id":"app:x","data":%d}' % n) for n in range(5)))
        server.hub.standing.change_user(1, Role.USER, DEFAULTS[Role.USER])
        for _ in range(5):
            assert (await sender.expect("error"))["code"] == "permission_denied"
        assert (await _ask(reader, "ping", 2))["ok"]
        assert server.hub.statistics().published == 1


async def test_a_connection_never_becomes_somebody_else(server: Running) -> None:
    """auth_refresh and authenticate with another's token, also many at once: refused, and the sender's name stays."""
    async with upgraded(server.port, Authorization="Bearer writer") as client:
        await _ask(client, "subscribe", 1, room_id="app:x")
        for n, (kind, token) in enumerate(
            (
                ("auth_refresh", "other"),
                ("auth_refresh", "admin-3"),
                ("authenticate", "admin-3"),
                ("auth_refresh", "nobody"),
            )
        ):
            reply = await _ask(client, kind, 10 + n, token=token)
            assert reply["error"]["code"] in ("permission_denied", "conflict", "unauthorized")
            assert (await _ask(client, "ping", 20 + n))["ok"]
        for n in range(4):
            client.say("auth_refresh", id=30 + n, token="admin-3")
        assert not any([(await client.expect("reply", id=30 + n))["ok"] for n in range(4)])
        assert (await _ask(client, "publish", 40, room_id="app:x", data=1))["ok"]
        assert (await client.expect("room_message"))["sender"]["user_id"] == 1
        assert (await _ask(client, "subscribe", 41, room_id="admin:system_monitoring:3"))["ok"] is False
    everybody = server.hub.list_connections(ConnectionQuery()).rows
    (info,) = [row for row in everybody if row.user_id not in (1, None)] or [None]
    assert info is None


async def test_an_id_that_comes_again_is_answered_again(server: Running) -> None:
    """An id is only echoed: two messages with one id have two answers, and an old id reaches nobody else's."""
    async with (
        upgraded(server.port, Authorization="Bearer writer") as one,
        upgraded(server.port, Authorization="Bearer other") as two,
    ):
        for client in (one, two):
            await client.expect("connection", status="connected")
        one.say("ping", id="same")
        one.say("ping", id="same")
        two.say("ping", id="same")
        for client, count in ((one, 2), (two, 1)):
            for _ in range(count):
                assert (await client.expect("reply", id="same"))["ok"]
            client.say("ping", id="last")
            await client.expect("pong")
            assert [message["id"] for message in client.messages if message["type"] == "reply"] in ([], ["last"])


async def test_the_admin_socket_is_closed_to_users(server: Running) -> None:
    """4507 for a user and for nobody, before any message is done."""
    for token in ("writer", "user-5"):
        async with upgraded(server.port, "/ws/admin-dashboard", Authorization=f"Bearer {token}") as client:
            client.say("subscribe", id=1, room_id="app:x")
            assert await client.close_code() == 4507
            assert not [message for message in client.messages if message["type"] in ("reply", "subscribed")]
