"""The attacks of reliability.md 3.2 on the frames under Socket.IO: refused or cut as on the hub's own sockets."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.support.admin import Admin, running_admin
from tests.support.raw_viewer import raw_viewer
from tests.support.stuck_peer import StuckPeer, client_frame, stuck_peer
from tests.support.ws_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from tidewire.web import websocket_protocol


async def _ends(admin: Admin, peer: StuckPeer) -> bytes:
    """What the peer still reads until it is cut; then nothing of it is left, and others are served."""
    loop = asyncio.get_running_loop()
    read = b""
    async with asyncio.timeout(45):
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(peer.sock, 65_536):
                read += data
        await admin.until(lambda: admin.guard.open_sessions == 0)
    async with raw_viewer(admin.ws_url) as good:
        await good.join()
        assert (await good.ask("request_metrics"))["ok"]
    return read


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_control_frames_is_cut(opcode: int) -> None:
    """Also when the peer reads every answer: a hundred at once and ten a second are enough for anybody."""
    async with running_admin() as admin, stuck_peer(admin.port) as peer:
        await peer.join()
        with contextlib.suppress(ConnectionError):
            await peer.send(client_frame(opcode, b"x") * 1_000)
        await _ends(admin, peer)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_that_is_never_finished_is_given_up(opcode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings between its pieces do not extend the deadline."""
    monkeypatch.setattr(websocket_protocol, "FRAGMENT_DEADLINE_S", 0.2)
    async with running_admin() as admin, stuck_peer(admin.port) as peer:
        await peer.join()
        await peer.send(frame(opcode, b"4", fin=False) + frame(PING, b"x") + frame(CONTINUATION, b"2", fin=False))
        await _ends(admin, peer)


async def test_a_message_that_is_finished_in_time_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its deadline goes with it: the socket is still there afterwards."""
    monkeypatch.setattr(websocket_protocol, "FRAGMENT_DEADLINE_S", 0.2)
    async with running_admin() as admin, raw_viewer(admin.ws_url) as viewer:
        await viewer.join()
        await viewer.ws.send(["42/admin-ws,1", '["request_metrics"]'])
        while not (await viewer.frame()).startswith("43/admin-ws,1"):
            pass
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.4, over.set)
        await over.wait()
        assert (await viewer.ask("request_metrics"))["ok"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(TEXT, b"x", masked=False), 1002),
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(0x3, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
        (frame(TEXT, b"4\xff"), 1007),
        (frame(TEXT, b"4\xc3", fin=False) + frame(CONTINUATION, b"\x28"), 1007),
        (b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + b"mask", 1009),
        (frame(TEXT, b"4" * 65_537), 1009),
        (frame(TEXT, b"4" * 40_000, fin=False) + frame(CONTINUATION, b"4" * 40_000), 1009),
    ],
)  # fmt: skip
async def test_breaches_of_the_protocol_are_closed_by_code(frames: bytes, code: int) -> None:
    """As RFC 6455 section 7.4 names them."""
    async with running_admin() as admin, stuck_peer(admin.port) as peer:
        await peer.join()
        await peer.send(frames)
        closing = (await _ends(admin, peer)).rpartition(bytes([0x80 | CLOSE]))[2]
        assert closing[1:3] == code.to_bytes(2, "big")
