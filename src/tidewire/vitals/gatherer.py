"""The figures of all nodes: now, over time, and by how much they have risen. Whoever did not answer is named.

Whoever asks for the same at the same time shares one question. It must not know what figures mean, or who asks.
Source: core/sample.py; dashboard.md M15.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Generic, TypeVar

import msgspec

from tidewire.core.background import background
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes, Replies
from tidewire.vitals.catalogue import Metric
from tidewire.vitals.reading import NodeHistory, NodeIncrease, NodeVitals
from tidewire.vitals.sampler import Sampler

_Part = TypeVar("_Part")
_Answer = TypeVar("_Answer")


class Gathered(msgspec.Struct, Generic[_Part], frozen=True):
    """What the nodes that answered say, this one first.

    Attributes:
        silent: Who did not answer, and why.
        cut_off: Why this node hears no other one at all; empty if it does.
    """

    nodes: list[_Part]
    silent: list[Silent]
    cut_off: str

    @property
    def complete(self) -> bool:
        """Whether every node that there may be has answered."""
        return not self.silent and not self.cut_off


class _Named(msgspec.Struct, frozen=True, array_like=True):
    names: tuple[str, ...]
    seconds: float


class Gatherer:
    """See the module's text. Make it before the nodes are started.

    Args:
        nodes: The other nodes; its handlers are set here.
    """

    def __init__(self, nodes: Nodes, sampler: Sampler) -> None:
        self._nodes = nodes
        self._sampler = sampler
        self._under_way: dict[object, asyncio.Task[Any]] = {}
        nodes.handlers |= {
            "vitals": lambda _: _encode(sampler.latest()),
            "vitals_history": lambda payload: _encode(sampler.history(*_named(payload))),
            "vitals_increase": lambda payload: _encode(sampler.increase(*_named(payload))),
        }

    async def latest(self) -> Gathered[NodeVitals]:
        """Return all figures of all nodes, none older than a quarter of a second where all is well."""
        return await self._once("vitals", lambda: self._ask("vitals", b"", NodeVitals))

    async def history(self, names: Collection[str], seconds: float) -> Gathered[NodeHistory]:
        """Return the last ``seconds`` of the named figures."""
        return await self._ask_named("vitals_history", names, seconds, NodeHistory)

    async def increase(self, names: Collection[str], seconds: float) -> Gathered[NodeIncrease]:
        """Return by how much the named counters have risen in the last ``seconds``."""
        return await self._ask_named("vitals_increase", names, seconds, NodeIncrease)

    def catalogue(self) -> dict[str, Metric]:
        """Return what every name stands for that this node has had."""
        return self._sampler.catalogue()

    async def stop(self) -> None:
        """Give up questions that are under way. Idempotent."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- inside

    async def _ask_named(self, what: str, names: Collection[str], seconds: float, part: type[_Part]) -> Gathered[_Part]:
        payload = _encode(_Named(tuple(sorted(set(names))), seconds))
        return await self._once((what, payload), lambda: self._ask(what, payload, part))

    async def _ask(self, what: str, payload: bytes, part: type[_Part]) -> Gathered[_Part]:
        replies: Replies = await self._nodes.ask(what, payload)
        parts = [msgspec.msgpack.decode(reply.payload, type=part) for reply in replies.answers]
        return Gathered(parts, replies.silent, replies.cut_off)

    async def _once(self, key: object, ask: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Join the question that is under way, or begin it; who gives up waiting does not end it for others."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = background(ask(), f"gather:{key if isinstance(key, str) else 'named'}")
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        answer: _Answer = await asyncio.shield(task)
        return answer


def _named(payload: bytes) -> tuple[tuple[str, ...], float]:
    wanted = msgspec.msgpack.decode(payload, type=_Named)
    return wanted.names, wanted.seconds


_encode = msgspec.msgpack.Encoder().encode
