"""Hostile and careless Socket.IO clients against a real server: each is refused or freed, nobody else notices."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.admin import Admin, running_admin, serving
from tests.support.raw_viewer import raw_viewer
from tests.support.stuck_peer import stuck_peer
from tidewire.web.socketio_guard import SocketLimits
from tidewire.web.socketio_server import create_socketio


@pytest.mark.parametrize(
    "message",
    [
        b"\x04abc",
        "b4AAAA",
        '451-/admin-ws,["x",{"_placeholder":true,"num":0}]',
        '461-/admin-ws,1["x"]',
        "44/admin-ws,{}",
        "47/admin-ws,",
        "5",
        "6",
        "2probe",
        "3" + "[" * 50_000,
        "4",
        '4{"a":1}',
        "42/admin-ws,",
        "42/admin-ws,{}",
        "42/admin-ws,[]",
        "42/admin-ws,[1]",
        '42/admin-ws,["connect",{}]',
        '42/admin-ws,["disconnect","x"]',
        f'42/admin-ws,["{"e" * 65}"]',
        "42/admin-ws," + "[" * 60_000,
        "42/admin-ws," + "1" * 200,
        "42/admin-ws,²[]",
        "42/admin-ws,[NaN]",
        f"42/{'n' * 200},[]",
        "40/admin-ws,[1]",
        "43/admin-ws,[]",
    ],
)
async def test_what_is_not_json_socketio_ends_the_socket(message: str | bytes) -> None:
    """Binary, malformed and reserved packets close that socket with 1008 and leave the others alone."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as good, raw_viewer(admin.ws_url) as bad:
        await good.join()
        await bad.join()
        await bad.ws.send(message)
        assert await bad.closed() == 1008
        assert admin.guard.counts["violations"] + admin.sio.counts["violations"] == 1
        assert (await good.ask("request_metrics"))["ok"]


async def test_a_message_that_is_too_large_ends_the_socket() -> None:
    """64 KiB is the limit; beyond it the WebSocket is closed with 1009."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        await viewer.ws.send("42/admin-ws," + json.dumps(["request_metrics", "x" * 70_000]))
        assert await viewer.closed() == 1009


async def test_a_socket_that_joins_nothing_is_closed() -> None:
    """Engine.IO alone holds nothing: after the deadline the socket is closed, refused ones too."""
    async with running_admin(limits=SocketLimits(join_timeout_s=0.05)) as admin:
        async with raw_viewer(admin.ws_url) as idle:
            assert await idle.closed() == 1008
        async with raw_viewer(admin.ws_url, cookie=None) as refused:
            await refused.join()
            assert await refused.closed() == 1008
        async with raw_viewer(admin.ws_url) as leaver:
            await leaver.join()
            await leaver.ws.send("41/admin-ws,")
            assert await leaver.closed() == 1008
        async with raw_viewer(admin.ws_url) as elsewhere:
            await elsewhere.ws.send("40")
            assert await elsewhere.closed() == 1008
        assert admin.sio.counts["never_joined"] == 4
        await admin.until(lambda: admin.guard.open_sessions == 0)


async def test_joining_twice_is_refused_and_harmless() -> None:
    """A second CONNECT for the same namespace gets an error and adds no second viewer."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        await viewer.ws.send("40/admin-ws,")
        while not (await viewer.frame()).startswith("44/admin-ws,"):
            pass
        assert admin.namespace.statistics()["viewers"] == 1


async def test_too_many_messages_are_refused_then_cut() -> None:
    """Forty at once pass; further ones are acknowledged with rate_limited; a flood ends the socket."""
    async with running_admin(limits=SocketLimits(flood=30.0)) as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        for number in range(100):
            await viewer.ws.send(f'42/admin-ws,{number}["set_options",{{}}]')
        assert await viewer.closed() == 1008
        answers = [frame for frame in viewer.frames if frame.startswith("43/admin-ws,")]
        limited = [answer for answer in answers if '"rate_limited"' in answer]
        # The join took one of the forty tokens; time stands still, so none comes back.
        assert (len(answers) - len(limited), len(limited)) == (39, 30)
        assert '"retry_after_ms"' in limited[0]


async def test_the_rate_recovers() -> None:
    """After a second twenty more messages pass."""
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        answers = [await viewer.ask("set_options", {}) for _ in range(41)]
        assert [answer["ok"] for answer in answers] == [True] * 39 + [False] * 2
        await admin.clock.advance(1.0)
        answers = [await viewer.ask("set_options", {}) for _ in range(21)]
        assert [answer["ok"] for answer in answers] == [True] * 20 + [False]


@pytest.mark.parametrize(
    ("limits", "status"), [(SocketLimits(max_sessions=1), 503), (SocketLimits(max_sessions_per_address=1), 429)]
)
async def test_sessions_are_counted(limits: SocketLimits, status: int) -> None:
    """One too many is refused before the upgrade with what to do, and a place that gets free is given again."""
    async with running_admin(limits=limits) as admin:
        async with raw_viewer(admin.ws_url) as first:
            await first.join()
            with pytest.raises(InvalidStatus) as refused:
                await connect(admin.ws_url, proxy=None)
            assert refused.value.response.status_code == status
            assert b"required_action" in (refused.value.response.body or b"")
        await admin.until(lambda: admin.guard.open_sessions == 0)
        async with raw_viewer(admin.ws_url) as second:
            assert "sid" in await second.join()


async def test_two_origins_are_no_origin() -> None:
    """A request with two Origin headers is refused, even if both are allowed and the web server let it pass."""
    _, guard = create_socketio(lambda _: True)
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    headers = [(b"origin", b"http://a.test"), (b"origin", b"http://a.test")]
    await guard({"type": "websocket", "headers": headers, "client": ("1.2.3.4", 5)}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "origin_refused"}]


async def test_a_peer_that_ends_while_its_cookie_is_checked_leaves_nothing() -> None:
    """The library would keep such a session for ever."""
    async with running_admin() as admin:
        asked, go_on = asyncio.Event(), asyncio.Event()
        authenticate = admin.accounts.authenticate

        async def slow(scope: dict[str, object]) -> object:
            asked.set()
            await go_on.wait()
            return await authenticate(scope)

        admin.namespace._sessions._authenticate = slow
        async with raw_viewer(admin.ws_url) as viewer:
            await viewer.frame()
            await viewer.ws.send("40/admin-ws,")
            await asked.wait()
        go_on.set()
        await admin.until(lambda: admin.guard.open_sessions == 0)
        assert admin.namespace.statistics()["sessions"] == 0
        assert admin.namespace.statistics()["viewers"] == 0
        assert not list(admin.sio.manager.get_namespaces())


async def test_cut_frees_a_peer_that_does_not_read() -> None:
    """The transport is aborted after the grace, although the peer takes neither data nor close frame."""
    async with running_admin(limits=SocketLimits(close_grace_s=0.05)) as admin, stuck_peer(admin.port) as peer:
        sid = await peer.join()
        await _fill(admin, sid)
        await admin.sio.cut(sid, namespace="/admin-ws")
        await admin.until(lambda: admin.guard.open_sessions == 0)
        assert admin.sio.statistics()["sessions"] == 0
        assert admin.namespace.statistics()["viewers"] == 0


async def _fill(admin: Admin, sid: str) -> None:
    """Push until the writer is blocked and packets stay in the queue."""
    packet = admin.sio.encode_event("x", "y" * 100_000, namespace="/admin-ws")
    while admin.sio.queue_size(sid, namespace="/admin-ws") < 20:
        admin.sio.push(sid, packet, namespace="/admin-ws")
        await asyncio.sleep(0)


async def test_a_server_that_cannot_abort_is_refused() -> None:
    """Without the hardened protocol the application says what is missing instead of serving unsafely."""
    _, guard = create_socketio(lambda _: True)
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    with pytest.raises(Exception, match="cannot abort") as refused:
        await guard({"type": "websocket", "headers": [], "client": ("1.2.3.4", 5), "extensions": {}}, receive, send)
    assert "websocket_options" in refused.value.required_action  # type: ignore[attr-defined]
    assert not sent
    assert guard.open_sessions == 0


async def test_plain_http_gets_a_problem_document() -> None:
    """A browser that opens the address, or a polling client, reads what to do."""
    _, guard = create_socketio(lambda _: True)
    async with serving(guard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer
    assert b"websocket_only" in answer


async def test_shutdown_leaves_no_task() -> None:
    """After shutdown nothing of the server runs on: no heartbeat, no reader, no timer of a session."""
    before = asyncio.all_tasks()
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        await admin.sio.shutdown()
        assert not admin.sio.eio.background
        await admin.until(lambda: admin.guard.open_sessions == 0)
    assert asyncio.all_tasks() == before
