"""A broker that says what a test tells it to: for answers that no real server gives on demand.

It speaks just enough of the Redis protocol to be logged in to, and a real server's answers are its defaults.
"""

from __future__ import annotations

import asyncio


class ScriptedBroker:
    """Listens on 127.0.0.1 at a free port.

    Attributes:
        answers: Command name in lower case -> what to answer instead of the usual.
        commands: What was received, as lists of words.
    """

    def __init__(self) -> None:
        self.answers: dict[bytes, bytes] = {}
        self.commands: list[list[bytes]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: dict[asyncio.StreamWriter, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedBroker:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Return its URL."""
        return f"redis://127.0.0.1:{self.port}"

    def say(self, data: bytes) -> None:
        """Write ``data`` to every connection that has subscribed."""
        for writer, subscribed in self._writers.items():
            if subscribed:
                writer.write(data)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers[writer] = False
        try:
            while True:
                words = await _read_command(reader)
                self.commands.append(words)
                self._writers[writer] |= words[0].lower() == b"subscribe"
                writer.write(self.answers.get(words[0].lower(), self._usual(words, self._writers[writer])))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the bus hung up
        finally:
            del self._writers[writer]
            writer.transport.abort()
            self._tasks.discard(task)

    def _usual(self, words: list[bytes], subscribed: bool) -> bytes:
        kind = words[0].lower()
        if kind in (b"subscribe", b"unsubscribe"):
            return confirmation(kind, words[1])
        if kind == b"ping":
            return b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" if subscribed else b"+PONG\r\n"
        if kind == b"role":
            return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        return b":0\r\n" if kind == b"publish" else b"+OK\r\n"


def confirmation(kind: bytes, channel: bytes) -> bytes:
    """Return what a server says when it has (un)subscribed a channel."""
    return b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n:1\r\n" % (len(kind), kind, len(channel), channel)


def message(channel: bytes, payload: bytes) -> bytes:
    """Return a message as a server hands it to a subscriber."""
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(payload), payload)


async def _read_command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words
