"""Tells systemd how the service is (Type=notify, WatchdogSec=); without systemd it does nothing.

It must not know what the service does. Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

from tidewire.core.background import background

log = structlog.get_logger(__name__)


class Notifier:
    """See the module's text.

    Args:
        environment: Where NOTIFY_SOCKET and WATCHDOG_USEC stand; taken by this process, not by its children.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        self._every_s = int(usec) / 2_000_000 if usec.isascii() and usec.isdecimal() else 0.0
        self._task: asyncio.Task[None] | None = None

    def ready(self, status: str) -> None:
        """Say that the service has started, and from now on that the event loop turns."""
        self._send(f"READY=1\nSTATUS={status}")
        if self._address and self._every_s and self._task is None:
            self._task = background(self._watchdog(), "systemd-watchdog")

    def stopping(self) -> None:
        """Say that the service is ending; the watchdog goes on until it has. Idempotent."""
        self._send("STOPPING=1")

    async def _watchdog(self) -> None:
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._every_s)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # "@" stands for the abstract namespace.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto(text.encode(), address)
        except OSError as exc:
            log.warning("systemd_not_told", what_happened=str(exc), said=text.partition("\n")[0])
