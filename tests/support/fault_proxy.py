"""A TCP proxy that misbehaves on command: pass, delay, cut in the middle, black hole, reset, refuse.

One byte stream in, the same out, unless told otherwise; it knows no protocol. A fault applies to every connection, old
and new, from the moment it is set.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

Mode = Literal["pass", "blackhole", "refuse"]


class FaultProxy:
    """Listens on 127.0.0.1 at a free port and forwards to ``port``.

    Attributes:
        target: Where it forwards to; may be set later than the start.
        mode: ``pass``; ``blackhole`` (accepts and reads nothing further: half-open); ``refuse`` (new ones are reset).
        delay_s: Added to every chunk, both ways.
        cut_after: Bytes towards the client after which the connection is reset, once; None for never.
        accepted: Connections so far.
        target: Port to which new connections are led.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._held: set[int] = set()
        self._accepted = asyncio.Condition()
        self.mode: Mode = "pass"
        self.delay_s = 0.0
        self.cut_after: int | None = None
        self.accepted = 0
        self.port = 0

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.set("pass")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        # Not cancelled: asyncio.streams would log the cancellation of a connection's task as an error.
        self.set("pass")
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def set(self, mode: Mode) -> None:
        """Change the mode; leaving ``blackhole`` lets what was held flow on."""
        self.mode = mode
        self._held.clear()
        if mode == "blackhole":
            self._open.clear()
        else:
            self._open.set()

    def hold(self, number: int) -> None:
        """Let nothing more through on the connection that was accepted as ``number`` (from 0) until it ends."""
        self._held.add(number)

    async def wait_accepted(self, count: int, ceiling_s: float = 20.0) -> None:
        """Return once ``count`` connections have been accepted since the start."""
        async with asyncio.timeout(ceiling_s), self._accepted:
            await self._accepted.wait_for(lambda: self.accepted >= count)

    def reset(self) -> None:
        """Reset (RST) every connection that is open now."""
        for writer in list(self._writers):
            _abort(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.accepted
        async with self._accepted:
            self.accepted += 1
            self._accepted.notify_all()
        if self.mode == "refuse":
            _abort(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            await self._open.wait()
            back, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(upstream)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(number, reader, upstream, cuts=False))
                group.create_task(self._pump(number, back, writer, cuts=True))
        except* OSError:
            pass  # either side went away, by fault or by itself: both are ended below
        finally:
            for end in (writer, upstream):
                if end is not None:
                    _abort(end)
                    self._writers.discard(end)
            self._tasks.discard(task)

    async def _pump(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, cuts: bool
    ) -> None:
        while data := await reader.read(65536):
            if number in self._held:
                continue
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._open.wait()
            if writer.transport.is_closing():
                break  # uvloop would not take another write
            if cuts and self.cut_after is not None:
                data, rest = data[: self.cut_after], data[self.cut_after :]
                self.cut_after -= len(data)
                writer.write(data)
                await writer.drain()
                if rest or self.cut_after == 0:
                    self.cut_after = None
                    raise ConnectionResetError("cut")
                continue
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("ended")  # ends the other direction too


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: linger 0."""
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
