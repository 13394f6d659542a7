"""Draining a node by hand, and taking it back: it takes no new clients and moves those it has away; it does not end.

Any node can be told by any other. While it is drained its ``/readyz`` is 503 and handshakes are refused, pages and API
go on; SIGTERM ends the process. It must not know HTTP, or who wants it. Source: contract.md section 5; dashboard.md M8.
"""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

import msgspec
import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes

# As at the end of a process (app/hub_side.py): twenty a second, all within ten seconds.
PER_CLIENT_S = 0.05
MAX_S = 10.0

Outcome = Literal["done", "already", "moving", "ending"]
_log = structlog.get_logger(__name__)


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """How a node stands.

    Attributes:
        accepting: It takes new clients.
        moving: It is sending its clients away just now.
        drained_by, drained_at: Who drained it by hand, and when; "" and None if nobody did.
    """

    node: str = ""
    instance: str = ""
    connections: int
    accepting: bool
    moving: bool
    drained_by: str
    drained_at: float | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a node has done with a wish: ``already`` so, ``moving`` clients away just now, or ``ending`` for good."""

    outcome: Outcome
    state: NodeState


class _Wish(msgspec.Struct, frozen=True):
    instance: str
    drain: bool
    by: str


class Local(Protocol):
    """What is asked of this node's hub."""

    @property
    def accepting(self) -> bool:
        """Whether a new connection is welcome."""
        ...

    def connection_count(self) -> int:
        """Return how many connections there are."""
        ...

    async def drain(self, window_s: float) -> int:
        """Stop accepting, and close everybody over the window."""
        ...

    def welcome(self, newcomers: bool) -> None:
        """Take new clients from now on, or not."""
        ...


class NodeDrains:
    """See the module's text.

    Args:
        nodes: The other nodes; its handlers are set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local, clock: Clock) -> None:
        self._nodes = nodes
        self._local = local
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._by = ""
        self._at: float | None = None
        encode = msgspec.msgpack.encode
        nodes.handlers |= {
            "node_states": lambda _: encode(self._state()),
            "node_drain": lambda payload: encode(self._told(_wish(payload))),
        }

    async def states(self) -> tuple[list[NodeState], list[Silent], str]:
        """Return how every node stands that answers, and which do not."""
        replies = await self._nodes.ask("node_states")
        states = [
            msgspec.structs.replace(
                msgspec.msgpack.decode(reply.payload, type=NodeState), node=reply.node, instance=reply.instance
            )
            for reply in replies.answers
        ]
        return sorted(states, key=lambda state: (state.node, state.instance)), replies.silent, replies.cut_off

    async def tell(self, instance: str, *, drain: bool, by: str) -> Told | None:
        """Drain a node, or take it back; None if it did not answer."""
        wish = msgspec.msgpack.encode(_Wish(instance, drain, by))
        replies = await self._nodes.ask("node_drain", wish, enough=lambda payload: payload != _NONE)
        for reply in replies.answers:
            if reply.payload != _NONE:
                told = msgspec.msgpack.decode(reply.payload, type=Told)
                state = msgspec.structs.replace(told.state, node=reply.node, instance=reply.instance)
                return msgspec.structs.replace(told, state=state)
        return None

    async def stop(self) -> None:
        """Stop moving clients away; whoever ends the process does that himself. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # ---- inside

    @property
    def _moving(self) -> bool:
        return self._task is not None and not self._task.done()

    def _state(self) -> NodeState:
        return NodeState(
            connections=self._local.connection_count(),
            accepting=self._local.accepting,
            moving=self._moving,
            drained_by=self._by,
            drained_at=self._at,
        )

    def _told(self, wish: _Wish) -> Told | None:
        if wish.instance != self._nodes.node:
            return None
        return Told(outcome=self._drain(wish.by) if wish.drain else self._take_back(), state=self._state())

    def _drain(self, by: str) -> Outcome:
        if not self._local.accepting:
            return "already" if self._by else "ending"
        self._by, self._at = by, self._clock.time()
        # At once: the task begins in a later turn of the loop, and somebody may come in before.
        self._local.welcome(False)
        window_s = min(MAX_S, self._local.connection_count() * PER_CLIENT_S)
        _log.info("node_drained", by=by, connections=self._local.connection_count())
        self._task = background(self._move(window_s), "node-drain")
        return "done"

    async def _move(self, window_s: float) -> None:
        await self._local.drain(window_s)

    def _take_back(self) -> Outcome:
        if self._local.accepting:
            return "already"
        if not self._by:
            return "ending"
        if self._moving:
            return "moving"
        self._by, self._at = "", None
        self._local.welcome(True)
        _log.info("node_taken_back")
        return "done"


_NONE = msgspec.msgpack.encode(None)
_wish = msgspec.msgpack.Decoder(_Wish).decode
