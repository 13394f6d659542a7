"""Publishers that send again, with the same ``op_id`` or ``Idempotency-Key``, until they know the outcome.

Half of them speak over the socket, half over HTTP; each has one message under way. They log every answer with its time,
and know no faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire, open_wire
from tests.support.history_checker import Published

# An answer must come within 2 s (bar R11); who waits longer is told so here.
ANSWER_S = 10.0
# Before the same is sent again: docs/protocol.md names no time.
AGAIN_S = 0.2

Choose = Callable[[random.Random], int | None]


@dataclass
class Ledger:
    """What all publishers of a run were told.

    Attributes:
        published: Per room.
        answers: (when it was sent, seconds to its answer, "ok" or the error's code) of each attempt that was answered.
        unknown: Attempts without an answer, by cause.
        sent: Message -> when it was sent for the first time, while ``timed``.
    """

    published: dict[str, list[Published]] = field(default_factory=dict)
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    again: int = 0
    acknowledged: int = 0
    timed: bool = False
    sent: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    wrong: list[str] = field(default_factory=list)

    def acknowledge(self, room: str, entry: Published) -> None:
        """Note a message whose place is known."""
        self.published.setdefault(room, []).append(entry)
        self.acknowledged += 1
        self.changed.set()

    def epoch(self, room: str) -> str | None:
        """Return the epoch of the room's last acknowledged message."""
        entries = self.published.get(room)
        return entries[-1].epoch if entries else None

    async def wait(self, count: int) -> None:
        """Return when so many are acknowledged."""
        while self.acknowledged < count:
            self.changed.clear()
            await self.changed.wait()


class Speaker:
    """Publishes over the socket, on one connection while it lasts.

    Attributes:
        sent_at: When the last message was handed to the kernel, by the loop's clock.
    """

    def __init__(self, headers: Callable[[int], Mapping[str, str]], choose: Choose, chance: random.Random) -> None:
        self._headers = headers
        self._choose = choose
        self._chance = chance
        self._wire: Wire | None = None
        self._ids = 0
        self._reply: asyncio.Future[Said] | None = None
        self.sent_at = 0.0

    async def attempt(self, room: str, name: str) -> tuple[str, Said]:
        """Send it once; return "ok" and the place, or an error's code and the error. Raises OSError: not known."""
        if self._wire is None or not self._wire.alive:
            port = self._choose(self._chance)
            if port is None:
                raise ConnectionRefusedError("no node serves")
            self._wire = await open_wire(port, self._headers(port), self._take, self._end)
        self._ids += 1
        self._reply = asyncio.get_running_loop().create_future()
        self.sent_at = asyncio.get_running_loop().time()
        self._wire.say("publish", id=self._ids, room_id=room, data=name, op_id=name)
        async with asyncio.timeout(ANSWER_S):
            reply = await self._reply
        return ("ok", reply["data"]) if reply["ok"] else (reply["error"]["code"], reply["error"])

    def close(self) -> None:
        """Leave."""
        if self._wire is not None:
            self._wire.cut()
            self._wire = None

    def _take(self, wire: Wire, said: Said) -> None:
        if said["type"] == "reply" and said["id"] == self._ids and self._reply is not None and not self._reply.done():
            self._reply.set_result(said)

    def _end(self, wire: Wire) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionResetError("the socket ended"))
            # Looked at here, in case that nobody waits any more.
            self._reply.exception()


class Poster:
    """Publishes over HTTP, on one connection while it lasts; attributes as of ``Speaker``."""

    def __init__(self, key: str, choose: Choose, chance: random.Random) -> None:
        self._key = key
        self._choose = choose
        self._chance = chance
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent_at = 0.0

    async def attempt(self, room: str, name: str) -> tuple[str, Said]:
        """Send it once; as ``Speaker.attempt``."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._post(room, name)
        except (OSError, asyncio.IncompleteReadError) as exc:
            self.close()
            raise ConnectionResetError("HTTP: " + type(exc).__name__) from exc

    async def _post(self, room: str, name: str) -> tuple[str, Said]:
        if self._streams is None:
            port = self._choose(self._chance)
            if port is None:
                raise ConnectionRefusedError("no node serves")
            self._streams = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self._streams
        body = json.dumps({"room_id": room, "data": name}).encode()
        host = writer.get_extra_info("peername")[1]
        head = (
            f"POST /api/v1/publish HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.sent_at = asyncio.get_running_loop().time()
        writer.write(head.encode() + body)
        status, answer = await _answer(reader)
        return ("ok", answer) if status == 200 else (answer["code"], answer)

    def close(self) -> None:
        """Leave."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Said]:
    """Read one HTTP answer with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:"))
    body: Said = json.loads(await reader.readexactly(length))
    return int(lines[0].split(" ")[1]), body


class Publisher:
    """Publishes under names of its own at a steady rate.

    Args:
        way: How.
        every_s: From one message to the next; after a wait it catches up by half of that.
    """

    def __init__(
        self, name: str, way: Speaker | Poster, rooms: list[str], chance: random.Random, ledger: Ledger, every_s: float
    ) -> None:
        self._name = name
        self._way = way
        self._rooms = rooms
        self._chance = chance
        self._ledger = ledger
        self._every_s = every_s
        self._count = 0

    async def run(self, enough: Callable[[], bool]) -> None:
        """Publish until it is enough; every message is known by then."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while not enough():
                await self.publish(self._chance.choice(self._rooms))
                due += self._every_s
                await asyncio.sleep(max(due - loop.time(), self._every_s / 2))
        finally:
            self._way.close()

    def close(self) -> None:
        """Leave."""
        self._way.close()

    async def publish(self, room: str) -> Published:
        """Publish one message, and return when its place is known."""
        self._count += 1
        name = f"{self._name}-{self._count}"
        if self._ledger.timed:
            self._ledger.sent[name] = asyncio.get_running_loop().time()
        tried, began = 0, self._ledger.epoch(room)
        while (place := await self._attempt(room, name)) is None:
            tried += 1
            self._ledger.again += 1
            await asyncio.sleep(AGAIN_S)
        entry = Published(name, "ok", place["epoch"], place["offset"])
        if tried and began != entry.epoch:
            # An attempt without an answer may have a place in the epoch that was lost before it was asked again.
            self._ledger.published.setdefault(room, []).append(Published(f"{name} before", "unknown"))
        self._ledger.acknowledge(room, entry)
        return entry

    async def _attempt(self, room: str, name: str) -> dict[str, Any] | None:
        try:
            outcome, said = await self._way.attempt(room, name)
        except ConnectionRefusedError:
            self._ledger.unknown["not sent: nobody listens"] += 1
            return None
        except OSError as exc:
            self._way.close()
            self._ledger.unknown[str(exc) or type(exc).__name__] += 1
            return None
        took = asyncio.get_running_loop().time() - self._way.sent_at
        self._ledger.answers.append((self._way.sent_at, took, outcome))
        if outcome == "ok":
            return said
        if not (said.get("temporary") or said.get("status") in (429, 503)):
            self._ledger.wrong.append(str(said))
        with contextlib.suppress(KeyError, TypeError):
            await asyncio.sleep(said["retry_after_ms"] / 1000)
        return None
