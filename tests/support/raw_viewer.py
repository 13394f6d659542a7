"""A Socket.IO client written down frame by frame, to see the exact order of what the server sends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.admin import ORIGIN

NAMESPACE = "/admin-ws"


class RawViewer:
    """One socket. Frames are kept as they came in ``frames``."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.frames: list[str] = []
        self._events: list[tuple[str, Any]] = []
        self._acks = 0

    async def frame(self) -> str:
        """Return the next frame."""
        text = await self.ws.recv()
        assert isinstance(text, str)
        self.frames.append(text)
        return text

    async def join(self) -> dict[str, Any]:
        """Open Engine.IO and the namespace; return the data of the answer (``message`` in it means refused)."""
        assert (await self.frame()).startswith("0")
        await self.ws.send(f"40{NAMESPACE},")
        answer = await self.frame()
        assert answer.startswith((f"40{NAMESPACE},", f"44{NAMESPACE},")), answer
        data: dict[str, Any] = json.loads(answer.partition(",")[2])
        return data

    async def ask(self, event: str, *arguments: object) -> dict[str, Any]:
        """Send an event and return its acknowledgement; events that come in between are kept for ``event``."""
        self._acks += 1
        await self.ws.send(f"42{NAMESPACE},{self._acks}{json.dumps([event, *arguments])}")
        head = f"43{NAMESPACE},{self._acks}"
        while True:
            text = await self.frame()
            if text.startswith(head):
                (answer,) = json.loads(text[len(head) :])
                return dict(answer)
            self._keep(text)

    async def event(self, name: str) -> Any:
        """Return the data of the next event called ``name``; others are passed over."""
        while True:
            while self._events:
                found, data = self._events.pop(0)
                if found == name:
                    return data
            self._keep(await self.frame())

    async def closed(self) -> int:
        """Read on until the server closes; return the close code (1006: without a close frame)."""
        try:
            while True:
                self._keep(await self.frame())
        except ConnectionClosed as ended:
            return ended.rcvd.code if ended.rcvd else 1006

    def _keep(self, text: str) -> None:
        head = f"42{NAMESPACE},"
        if text.startswith(head):
            name, data = json.loads(text[len(head) :])
            self._events.append((name, data))


@contextlib.asynccontextmanager
async def raw_viewer(
    url: str, *, cookie: str | None = "ada", origin: str | None = ORIGIN, timeout_s: float = 20.0
) -> AsyncIterator[RawViewer]:
    """Open a WebSocket; everything inside must be done within ``timeout_s``."""
    headers = {} if cookie is None else {"Cookie": f"session={cookie}"}
    if origin is not None:
        headers["Origin"] = origin
    async with asyncio.timeout(timeout_s):
        async with connect(url, additional_headers=headers, compression=None, proxy=None) as ws:
            yield RawViewer(ws)
