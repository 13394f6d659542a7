"""Writes that count only once replicas have them: asked in groups, each followed by one WAIT.

WAIT holds up its whole connection, so one is under way at a time; what is asked meanwhile makes the next group. Whether
replicas that did not answer in time have a write is unknown, and that is what is said. It must not know what it says.
Source: Redis manual, "WAIT".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tidewire.bus.redis_commands import MAX_IN_FLIGHT, RedisCommands
from tidewire.core.background import background
from tidewire.core.errors import BusError

# Two of them, the one before and one's own, are well within the deadline of an answer (1 s).
WAIT_S = 0.3


class _Write(NamedTuple):
    parts: Sequence[bytes]
    asking: bool
    answer: asyncio.Future[object]


class RedisCopies:
    """See the module's text.

    Args:
        replicas: How many must have a write, at least 1.
    """

    def __init__(self, commands: RedisCommands, replicas: int) -> None:
        self._commands = commands
        self._replicas = replicas
        self._next: list[_Write] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, *parts: bytes, asking: bool = False) -> object:
        """Return the answer to a write that the replicas have. It must write, also when it finds nothing to do.

        Raises:
            Refusal: The server answered with an error.
            BusError: It was not asked, or it is unknown whether the write will last; the text says which.
        """
        if len(self._next) >= MAX_IN_FLIGHT:
            raise BusError(
                f"{len(self._next)} writes wait for the replicas of the Redis server already.",
                required_action="Publish less, or find out why the replicas are slow.",
                will_not="Tidewire will not queue more.",
                code="bus_outbox_full",
            )
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._next.append(_Write(parts, asking, answer))
        if self._task is None or self._task.done():
            self._task = background(self._write(), "redis-copies")
        return await answer

    async def stop(self) -> None:
        """Return when nothing is under way; the connection has ended before."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _write(self) -> None:
        while self._next:
            group, self._next = self._next, []
            wait = (b"WAIT", b"%d" % self._replicas, b"%d" % (WAIT_S * 1000))
            *answers, copies = await asyncio.gather(
                *(self._commands.ask(*write.parts, asking=write.asking) for write in group),
                self._commands.ask(*wait),
                return_exceptions=True,
            )
            for write, answer in zip(group, answers, strict=True):
                if write.answer.done():
                    continue  # whoever asked has been cancelled
                if isinstance(answer, BaseException):
                    write.answer.set_exception(answer)
                elif isinstance(copies, int) and copies >= self._replicas:
                    write.answer.set_result(answer)
                else:
                    write.answer.set_exception(self._in_doubt(copies))

    def _in_doubt(self, copies: object) -> BusError:
        told = f"{copies} of {self._replicas}" if isinstance(copies, int) else "not enough"
        return BusError(
            f"Only the Redis server itself is known to have this: {told} replicas confirmed it within {WAIT_S:g} s; "
            "the outcome is unknown.",
            required_action="Send the same again with the same op_id: it is done once, and you get the first answer.",
            will_not="Tidewire will not repeat it by itself, or call it done while a failover could lose it.",
        )
