"""The Autobahn cases (RFC 6455) against the frame layer that the hub's sockets run on, on the real port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from picows import WSFrame, WSTransport

from tests.support.echo_gateway import Echo, EchoGateway
from tests.support.hub_server import running
from tests.support.ws_client import PING, PONG, TEXT, frame, upgraded
from tidewire.web.gateway import hand_over
from tidewire.web.handshake import Acceptance

# Left out: 9.* sends messages of up to 16 MiB (ours are limited to 64 KiB), 12.* and 13.* need compression (off).
EXCLUDED = ("9.*", "12.*", "13.*")


async def test_every_autobahn_case_passes(tmp_path: Path) -> None:
    """247 of 247, no exception."""
    gateway = EchoGateway()
    suite = Path(sys.executable).with_name("kosoku")
    exclude = [word for case in EXCLUDED for word in ("-x", case)]
    async with running(gateway.hub, gateway=gateway) as server:
        process = await asyncio.create_subprocess_exec(
            suite, "-m", "fuzzingclient", *exclude, "-p", "4", "-o", str(tmp_path), f"127.0.0.1:{server.port}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(50):
            output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"247 cases passed" in output


class _Counting(Echo):
    """Counts the frames that are parsed for it."""

    frames = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        _Counting.frames += 1
        super().on_ws_frame(transport, frame)


class _CountingGateway(EchoGateway):
    def take(self, transport: asyncio.Transport, accepted: Acceptance, loop: asyncio.AbstractEventLoop) -> None:
        hand_over(transport, accepted.key, accepted.subprotocol, _Counting(loop))


@pytest.mark.parametrize("breach", [frame(TEXT, b"\xff"), frame(0x3, b""), frame(PING, b"") * 101])
async def test_nothing_is_parsed_for_who_broke_the_protocol(breach: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the close frame a flood of small frames costs the others nothing until the connection is cut.

    Measured with ``bench.attack``: fifty of them, read on for a quarter of a second each, held everybody up for 2 s.
    """
    monkeypatch.setattr(_Counting, "frames", 0)
    gateway = _CountingGateway()
    async with running(gateway.hub, gateway=gateway) as server, upgraded(server.port, "/") as client:
        client.send(breach)
        assert await client.close_code() in (1002, 1007, 1008)
        before = _Counting.frames
        client.send(frame(PONG, b"") * 5_000)
        await client.ended()
        assert _Counting.frames == before
