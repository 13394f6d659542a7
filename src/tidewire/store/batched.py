"""Look-ups that are asked for one by one and answered many at a time. It must not know what is looked up.

When ten thousand clients come back at once, a query for each would overrun the pool and turn most of them away. While
one query is under way the keys that are asked for meanwhile collect, and the next query answers them together. An
answer is never older than its question: a key that is asked for while a query for it runs is asked for again.
Source: Facebook's DataLoader (batching, here without its cache); reliability.md bar R8.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from tidewire.core.background import background
from tidewire.core.errors import StoreError

_K = TypeVar("_K")
_V = TypeVar("_V")

# Few enough for one short transaction, enough for ten thousand clients in some dozens of them.
MOST = 250
# Of a pool of eight, so that a storm leaves connections to everybody else.
AT_ONCE = 2


class Batched(Generic[_K, _V]):
    """See the module's text.

    Args:
        load: Returns what there is of some keys. Raises StoreError.
    """

    def __init__(
        self, load: Callable[[Sequence[_K]], Awaitable[Mapping[_K, _V]]], *, most: int = MOST, at_once: int = AT_ONCE
    ) -> None:
        self._load = load
        self._most = most
        self._at_once = at_once
        self._waiting: defaultdict[_K, list[asyncio.Future[_V | None]]] = defaultdict(list)
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, key: _K) -> _V | None:
        """Return what there is for ``key``, None if nothing. Raises StoreError."""
        answer: asyncio.Future[_V | None] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(answer)
        if len(self._running) < self._at_once:
            task = background(self._work(), "batched-look-up")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            keys = [key for key, _ in zip(self._waiting, range(self._most), strict=False)]
            taken = {key: self._waiting.pop(key) for key in keys}
            try:
                found = await self._load(keys)
            except StoreError as error:
                # Whoever waits for a turn would find the same database; each is answered within one deadline.
                _refuse([*taken.values(), *self._waiting.values()], error)
                self._waiting.clear()
            except BaseException as fault:
                _refuse(taken.values(), fault)
                raise
            else:
                for key, answers in taken.items():
                    for answer in _open([answers]):
                        answer.set_result(found.get(key))


def _refuse(answers: Iterable[list[asyncio.Future[_V | None]]], fault: BaseException) -> None:
    for answer in _open(answers):
        if isinstance(fault, Exception):
            answer.set_exception(fault)
        else:
            answer.cancel()


def _open(answers: Iterable[list[asyncio.Future[_V | None]]]) -> Iterator[asyncio.Future[_V | None]]:
    """Leave out those whose asker has gone."""
    return (answer for each in answers for answer in each if not answer.done())
