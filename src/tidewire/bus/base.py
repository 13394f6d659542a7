"""What every bus is: publish without waiting, subscribe with a callback. It must not know what payloads mean.

Order: messages of one channel reach one subscriber in the order they were published by one process.
Delivery: at most once (live messages). A message that cannot be taken is refused with BusError, never dropped silently;
what was taken and then lost with a connection is counted, logged and told in the status.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

# Called on the event loop, never awaited: (channel, payloads in order). It must not block.
Receive = Callable[[str, Sequence[bytes]], None]

BusState = Literal["up", "degraded", "down"]


class ShardStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one of several servers is; ``since`` is Unix seconds."""

    endpoint: str
    state: BusState
    since: float
    reason: str = ""


class BusStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the bus is now.

    Attributes:
        kind: ``memory`` or ``redis``.
        state: ``up``, ``degraded`` (connected, but something was lost or is slow) or ``down``.
        since: When this state began, Unix seconds.
        reason: Why it is not up; empty when up.
        published: Messages taken by publish().
        delivered: Messages handed to callbacks (one message to three callbacks counts three).
        refused: Messages that publish() did not take.
        callback_errors, reconnects: Counters since start.
        outbox_messages, outbox_bytes: Taken, but not yet confirmed by the broker.
        lost: Taken, then certainly not delivered (unsent when the connection ended, or refused by the broker).
        unconfirmed: Written when the connection ended, no answer seen: it is unknown whether they were delivered.
        gaps: Channels that were subscribed anew after a break, so that messages may be missing, counted each time.
        rtt_ms: Last measured round trip to the broker, milliseconds; None if there is none.
        endpoint: Where the broker is, without credentials; empty if in-process.
        shards: Each server of a cluster; empty if there is only one.
    """

    kind: Literal["memory", "redis"]
    state: BusState
    since: float
    reason: str = ""
    published: int = 0
    delivered: int = 0
    refused: int = 0
    callback_errors: int = 0
    reconnects: int = 0
    outbox_messages: int = 0
    outbox_bytes: int = 0
    lost: int = 0
    unconfirmed: int = 0
    gaps: int = 0
    rtt_ms: float | None = None
    endpoint: str = ""
    shards: tuple[ShardStatus, ...] = ()


# Called with the channel on which messages may be missing.
GapNotice = Callable[[str], None]
# Called with the new status on every change of state.
StateNotice = Callable[[BusStatus], None]


class Subscription(Protocol):
    """A live subscription."""

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        ...

    async def ready(self) -> None:
        """Return once messages published from now on, by anybody, will be delivered.

        Raises:
            BusError: The broker refused the subscription or did not confirm it in time.
        """
        ...


class Watch(Protocol):
    """A registered notice callback."""

    def close(self) -> None:
        """Stop the notices at once. Idempotent."""
        ...


class Bus(Protocol):
    """Publish and subscribe by channel name."""

    async def start(self) -> None:
        """Connect. Starting twice is one start. Raises BusError if the bus cannot be reached."""
        ...

    async def stop(self) -> None:
        """Flush what was accepted (bounded), then disconnect. Idempotent."""
        ...

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Hand payloads (each one message) to the bus without waiting.

        Raises:
            BusError: The bus is down or its outbox is full; nothing of ``payloads`` was taken.
        """
        ...

    def subscribe(self, channel: str, receive: Receive) -> Subscription:
        """Call ``receive`` for every later message of ``channel``. Allowed before start()."""
        ...

    def on_gap(self, notify: GapNotice) -> Watch:
        """Call ``notify`` whenever messages of a subscribed channel may have been missed."""
        ...

    def on_state(self, notify: StateNotice) -> Watch:
        """Call ``notify`` with the status on every change of state, of a shard's too."""
        ...

    def reaches(self, channel: str) -> bool:
        """Whether messages of ``channel`` can be sent and heard now; where there are shards, its shard is asked."""
        ...

    def status(self) -> BusStatus:
        """Return the present state and counters."""
        ...

    async def ping(self) -> float:
        """Return the round-trip time in milliseconds. Raises BusError after its own deadline."""
        ...
