"""The Autobahn cases (RFC 6455) against the frame layer that the hub's sockets run on, on the real port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.echo_gateway import EchoGateway
from tests.support.hub_server import running

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
