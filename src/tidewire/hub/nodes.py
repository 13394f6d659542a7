"""The nodes as one: who else is there, whose connections they have, and what must reach a client wherever it is.

Each node says every two seconds that it lives. A question goes to all of them; the answer is what came in time, with
the names of those that did not answer: a list that lacks a node says so. It must not know rooms, pages or accounts.
Source: contract.md section 6 (``/api/v1/admin/connections``); reliability.md 4, "Server".
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from tidewire.bus.base import Bus, Subscription
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.registry import ConnectionInfo

CHANNEL = "tidewire:nodes"
BEAT_EVERY_S = 2.0
# Three beats: one may be lost, one may be late.
SILENT_AFTER_S = 6.0
ANSWER_WITHIN_S = 1.0
# One message of 500 connections is about 350 KB; whoever wants more asks for fewer at a time.
LIST_MAX = 500


class Local(Protocol):
    """What is asked of this node's hub."""

    def connections(self) -> list[ConnectionInfo]:
        """Return every living connection."""
        ...

    def force_disconnect(self, connection_id: str) -> int:
        """Close one connection; return how many that were."""
        ...

    def send_to_user(self, user_id: int, encoded: bytes) -> int:
        """Send to all connections of a user; return how many it reached."""
        ...

    def connection_count(self) -> int:
        """Return how many connections there are."""
        ...


class NodeInfo(msgspec.Struct, frozen=True, tag="beat", tag_field="type"):
    """A node that lives. ``node`` is one life of it, ``name`` what the operator called it."""

    node: str
    name: str
    connections: int
    leaving: bool = False


class _Ask(msgspec.Struct, frozen=True, tag="ask", tag_field="type"):
    node: str
    id: str
    what: Literal["connections", "force_disconnect", "send_to_user"]
    connection_id: str = ""
    user_id: int = 0
    payload: bytes = b""
    limit: int = LIST_MAX


class _Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="type"):
    node: str
    to: str
    id: str
    count: int
    connections: list[ConnectionInfo] = []


@dataclass(frozen=True, slots=True)
class Found:
    """What all nodes answered.

    Attributes:
        count: Connections concerned, on all nodes that answered.
        connections: By node name, at most as many per node as were asked for.
        silent: Names of the nodes that live and did not answer in time.
    """

    count: int
    connections: dict[str, list[ConnectionInfo]]
    silent: list[str]


@dataclass(slots=True)
class _Question:
    waits_for: set[str]
    answers: list[_Answer] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)


_decode = msgspec.msgpack.Decoder(NodeInfo | _Ask | _Answer).decode
_encode = msgspec.msgpack.Encoder().encode


class Nodes:
    """See the module's text.

    Args:
        local: This node's hub.
        name: What the operator calls this node.
    """

    def __init__(self, bus: Bus, local: Local, clock: Clock, name: str) -> None:
        self.node = f"{name}:{secrets.token_hex(4)}"
        self._bus = bus
        self._local = local
        self._clock = clock
        self._name = name
        self._seen: dict[str, tuple[float, NodeInfo]] = {}
        self._asked: dict[str, _Question] = {}
        self._subscription: Subscription | None = None
        self._loop = WatchedLoop("nodes", BEAT_EVERY_S, self._beat, clock)
        self.malformed = 0
        self.unsent = 0

    async def start(self) -> None:
        """Say that this node is there, and listen to the others."""
        self._subscription = self._bus.subscribe(CHANNEL, self._receive)
        self._loop.start()
        self._beat()
        # Whoever is there already says so, instead of being unknown for two seconds.
        self._say(_Ask(self.node, "", "connections", limit=0))

    async def stop(self) -> None:
        """Say goodbye. Idempotent."""
        await self._loop.stop()
        if self._subscription is not None:
            self._say(NodeInfo(self.node, self._name, 0, leaving=True))
            self._subscription.close()
            self._subscription = None

    def living(self) -> list[NodeInfo]:
        """Return the nodes that have been heard of in the last six seconds, this one first."""
        now = self._clock.monotonic()
        # While nothing can be heard nobody is counted as dead: this node is the one that is cut off.
        if self._bus.reaches(CHANNEL):
            for node, (at, _) in list(self._seen.items()):
                if now - at > SILENT_AFTER_S:
                    del self._seen[node]
        return [self._self(), *(info for _, info in self._seen.values())]

    async def connections(self, limit: int = LIST_MAX) -> Found:
        """Return the connections of all nodes, at most ``limit`` (and ``LIST_MAX``) of each."""
        mine = self._local.connections()
        found = await self._ask(_Ask(self.node, secrets.token_hex(8), "connections", limit=limit))
        found.connections[self._name] = mine[: min(limit, LIST_MAX)]
        return Found(found.count + len(mine), found.connections, found.silent)

    async def force_disconnect(self, connection_id: str) -> Found:
        """Close a connection on whichever node it is (4503)."""
        if self._local.force_disconnect(connection_id):
            return Found(1, {}, [])
        return await self._ask(_Ask(self.node, secrets.token_hex(8), "force_disconnect", connection_id=connection_id))

    async def send_to_user(self, user_id: int, encoded: bytes) -> Found:
        """Send an encoded message to all connections of a user, wherever they are; ``count`` of them were reached."""
        mine = self._local.send_to_user(user_id, encoded)
        found = await self._ask(_Ask(self.node, secrets.token_hex(8), "send_to_user", user_id=user_id, payload=encoded))
        return Found(found.count + mine, {}, found.silent)

    def statistics(self) -> dict[str, int]:
        """Return counters, and how many nodes live."""
        return {
            "living": len(self.living()),
            "questions": len(self._asked),
            "malformed": self.malformed,
            "unsent": self.unsent,
        }

    # ---- inside

    def _self(self) -> NodeInfo:
        return NodeInfo(self.node, self._name, self._local.connection_count())

    def _beat(self) -> None:
        self._say(self._self())

    def _say(self, message: NodeInfo | _Ask | _Answer) -> bool:
        try:
            self._bus.publish(CHANNEL, [_encode(message)])
        except BusError:
            self.unsent += 1
            return False
        return True

    async def _ask(self, ask: _Ask) -> Found:
        others = {info.node: info.name for info in self.living()[1:]}
        question = self._asked[ask.id] = _Question(set(others))
        try:
            if self._say(ask) and question.waits_for:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        await question.done.wait()
        finally:
            del self._asked[ask.id]
        connections: dict[str, list[ConnectionInfo]] = {}
        for answer in question.answers:
            connections.setdefault(others.get(answer.node, answer.node), []).extend(answer.connections)
        silent = sorted(others[node] for node in question.waits_for)
        return Found(sum(answer.count for answer in question.answers), connections, silent)

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                message = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.malformed += 1
                continue
            if message.node == self.node:
                continue
            if isinstance(message, NodeInfo):
                self._hear(message)
            elif isinstance(message, _Ask):
                self._answer(message)
            elif message.to == self.node and message.id in self._asked:
                question = self._asked[message.id]
                question.answers.append(message)
                question.waits_for.discard(message.node)
                if not question.waits_for:
                    question.done.set()

    def _hear(self, info: NodeInfo) -> None:
        if info.leaving:
            self._seen.pop(info.node, None)
        else:
            self._seen[info.node] = (self._clock.monotonic(), info)

    def _answer(self, ask: _Ask) -> None:
        count, listed = 0, list[ConnectionInfo]()
        if not ask.id:
            self._beat()
            return
        if ask.what == "connections":
            everything = self._local.connections()
            count, listed = len(everything), everything[: max(0, min(ask.limit, LIST_MAX))]
        elif ask.what == "force_disconnect":
            count = self._local.force_disconnect(ask.connection_id)
        else:
            count = self._local.send_to_user(ask.user_id, ask.payload)
        self._say(_Answer(self.node, ask.node, ask.id, count, listed))
