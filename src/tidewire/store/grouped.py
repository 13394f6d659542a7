"""Writes that are asked for one by one and committed many at a time. It must not know what is written.

A commit waits for the disk, and SQLite takes one writer at a time: while one transaction is under way the writes that
are asked for meanwhile collect, and the next transaction takes them together. Nobody is answered before the commit
that holds their write. Whatever cannot be written together with others is done alone, by whoever asked.
Source: PostgreSQL manual, "commit_delay" (group commit, there for the log alone); issue 5 (p99 of a field edit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import RequestError, StoreError
from tidewire.store.failure import overloaded, stopping

_T = TypeVar("_T")
_R = TypeVar("_R")
_log = structlog.get_logger(__name__)

# A transaction of so many is still a short one.
MOST = 64


class Alone(Exception):
    """Raised by ``write``: nothing of these is written, and each may be tried by itself."""


@dataclass(slots=True)
class _Waiting(Generic[_T, _R]):
    item: _T
    since: float
    answer: asyncio.Future[_R | RequestError | None]


class Grouped(Generic[_T, _R]):
    """See the module's text.

    Args:
        write: Writes some items in one transaction, and returns what became of each, in their order: what it gave, why
            it is refused, or None if it is to be done alone. Raises StoreError, which is then everybody's, or Alone.
        wait_s: Who has waited longer for a turn is refused.

    Attributes:
        counts: Since start: ``groups`` written, items ``grouped`` in them, items that were to be done ``alone``, and
            those that waited too long (``overloaded``).
    """

    def __init__(
        self,
        write: Callable[[Sequence[_T]], Awaitable[Sequence[_R | RequestError | None]]],
        clock: Clock,
        *,
        wait_s: float,
        most: int = MOST,
    ) -> None:
        self._write = write
        self._clock = clock
        self._wait_s = wait_s
        self._stopped = False
        self._most = most
        self._waiting: deque[_Waiting[_T, _R]] = deque()
        self._running: asyncio.Task[None] | None = None
        self.counts = dict.fromkeys(("groups", "grouped", "alone", "overloaded"), 0)

    async def stop(self) -> None:
        """Take nothing more; return when everything that was taken is written or refused. Idempotent."""
        self._stopped = True
        if self._running is not None:
            await asyncio.wait([self._running])

    async def put(self, item: _T) -> _R | None:
        """Return what came of an item once it is committed; None if it must be done alone.

        Raises:
            RequestError: It is refused.
            StoreError: As ``write`` says, or this has been stopped.
        """
        if self._stopped:
            raise stopping()
        answer = asyncio.get_running_loop().create_future()
        waiting = _Waiting[_T, _R](item, self._clock.monotonic(), answer)
        self._waiting.append(waiting)
        if self._running is None or self._running.done():
            self._running = background(self._work(), "grouped-writes")
        result = await waiting.answer
        if isinstance(result, RequestError):
            raise result
        if result is None:
            self.counts["alone"] += 1
        return result

    async def _work(self) -> None:
        # Once around the loop, so that what came in one read of the sockets goes into one transaction.
        await asyncio.sleep(0)
        while self._waiting:
            if not (group := self._take()):
                continue
            self.counts["groups"] += 1
            self.counts["grouped"] += len(group)
            try:
                results = await self._write([each.item for each in group])
            except Alone:
                results = [None] * len(group)
            except StoreError as error:
                _refuse(group, error)
                continue
            except Exception:  # noqa: BLE001 - task root: one of them broke it; alone, only that one does
                _log.exception("grouped_write_broke", items=len(group))
                results = [None] * len(group)
            except BaseException:
                for each in _open([*group, *self._waiting]):
                    each.answer.cancel()
                raise
            for each, result in zip(group, results, strict=True):
                if not each.answer.done():
                    each.answer.set_result(result)

    def _take(self) -> list[_Waiting[_T, _R]]:
        """Return who is next; refuse who has waited too long, leave out who has gone."""
        now = self._clock.monotonic()
        group: list[_Waiting[_T, _R]] = []
        while self._waiting and len(group) < self._most:
            each = self._waiting.popleft()
            if each.answer.done():
                continue
            if now - each.since > self._wait_s:
                self.counts["overloaded"] += 1
                each.answer.set_exception(overloaded())
            else:
                group.append(each)
        return group


def _refuse(group: Iterable[_Waiting[_T, _R]], error: StoreError) -> None:
    for each in _open(group):
        each.answer.set_exception(error)


def _open(group: Iterable[_Waiting[_T, _R]]) -> list[_Waiting[_T, _R]]:
    return [each for each in group if not each.answer.done()]
