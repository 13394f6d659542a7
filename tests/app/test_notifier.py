"""systemd is told what sd_notify(3) says, and only if it asks."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from structlog.testing import capture_logs

from tidewire.app.notifier import Notifier


def listening(path: str) -> socket.socket:
    """Return the socket on which systemd listens."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(f"\0{path[1:]}" if path.startswith("@") else path)
    listener.setblocking(False)
    return listener


async def test_ready_watchdog_and_stopping_are_said(tmp_path: Path) -> None:
    """Ready with a status, then a sign of life each half of the interval, then stopping."""
    with listening(str(tmp_path / "notify")) as systemd:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"})
        notifier.ready("serving http://here")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(45):
            said = [await loop.sock_recv(systemd, 200) for _ in range(4)]
        assert said == [b"READY=1\nSTATUS=serving http://here", *[b"WATCHDOG=1"] * 3]
        notifier.stopping()
        async with asyncio.timeout(45):
            while await loop.sock_recv(systemd, 200) != b"STOPPING=1":
                pass


def test_without_systemd_nothing_is_said(tmp_path: Path) -> None:
    """No socket named: nothing; a socket that is gone: a warning, and the service goes on."""
    with capture_logs() as logs:
        Notifier({}).ready("x")
        assert logs == []
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()
    assert [line["event"] for line in logs] == ["systemd_not_told"]
