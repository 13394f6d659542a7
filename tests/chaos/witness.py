"""When live messages reach clients that nothing happens to, seen by a process of its own.

Thousands of clients that come back keep the process that plays them busy for seconds; what it notes as late may have
come in time. This process has one socket and nothing else to do. It shares the machine's clock, not the crowd's
event loop. Run as ``python -m tests.chaos.witness`` by ``watching``; it knows no faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

from tests.chaos.wire import Message, Wire, open_wire

READY_S = 60.0


class Witness:
    """The process, seen by whoever has started it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tell(self) -> dict[str, list[float]]:
        """End it; return when each message came, by ``loop.time()`` of every process here."""
        stdout, _ = await self._process.communicate(b"\n")
        told: dict[str, list[float]] = json.loads(stdout)
        return told


@contextlib.asynccontextmanager
async def watching(port: int, headers: Mapping[str, str], rooms: Sequence[str]) -> AsyncIterator[Witness]:
    """Follow rooms from another process; it is inside all of them when this begins."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.witness", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps({"port": port, "headers": dict(headers), "rooms": rooms}).encode() + b"\n")
        async with asyncio.timeout(READY_S):
            assert await process.stdout.readline() == b"inside\n"
        yield Witness(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _watch(port: int, headers: Mapping[str, str], rooms: Sequence[str], words: asyncio.StreamReader) -> None:
    loop = asyncio.get_running_loop()
    came: dict[str, list[float]] = {}
    inside = asyncio.Semaphore(0)

    def heard(wire: Wire, said: Message) -> None:
        if said["type"] == "room_message":
            came.setdefault(said["data"], []).append(loop.time())
        elif said["type"] == "subscribed" and said["room_id"] in rooms:
            inside.release()

    wire = await open_wire(port, headers, heard)
    for number, room in enumerate(rooms):
        wire.say("subscribe", id=number, room_id=room)
    for _ in rooms:
        await inside.acquire()
    _say("inside")
    await words.readline()
    assert wire.alive, "the witness's socket has ended"
    _say(json.dumps(came))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main() -> None:
    words = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    await _watch(**json.loads(await words.readline()), words=words)


if __name__ == "__main__":
    asyncio.run(_main())
