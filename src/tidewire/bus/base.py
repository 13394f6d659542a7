"""What every bus is: publish without waiting, subscribe with a callback. It must not know what payloads mean.

Order: messages of one channel reach one subscriber in the order they were published by one process.
Delivery: at most once (live messages). A message that cannot be taken is refused with BusError, never dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

# Called on the event loop, never awaited: (channel, payloads in order). It must not block.
Receive = Callable[[str, Sequence[bytes]], None]


class BusStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the bus is now.

    Attributes:
        kind: ``memory`` or ``redis``.
        state: ``up``, ``degraded`` (connected, but something was lost or is slow) or ``down``.
        since: When this state began, Unix seconds.
        reason: Why it is not up; empty when up.
        published, delivered, refused, callback_errors, reconnects: Counters since start.
        outbox_messages, outbox_bytes: Accepted but not yet written.
    """

    kind: Literal["memory", "redis"]
    state: Literal["up", "degraded", "down"]
    since: float
    reason: str = ""
    published: int = 0
    delivered: int = 0
    refused: int = 0
    callback_errors: int = 0
    reconnects: int = 0
    outbox_messages: int = 0
    outbox_bytes: int = 0


class Subscription(Protocol):
    """A live subscription."""

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        ...


class Bus(Protocol):
    """Publish and subscribe by channel name."""

    async def start(self) -> None:
        """Connect. Raises BusError if the bus cannot be reached."""
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
        """Call ``receive`` for every later message of ``channel``."""
        ...

    def status(self) -> BusStatus:
        """Return the present state and counters."""
        ...

    async def ping(self) -> float:
        """Return the round-trip time in milliseconds. Raises BusError after its own deadline."""
        ...
