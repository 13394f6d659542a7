"""What the two halves of a broker bus need of a connection, and the deadlines they keep. It must not know the library.

``read`` gives one answer of the Redis protocol (RESP2): bytes, int, None or a list of those.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import NamedTuple, Protocol

import msgspec


class Refusal(Exception):
    """The broker answered with an error; the connection itself is fine."""


class Dialect(NamedTuple):
    """The words of publish and subscribe: over one server, or over the shard of a cluster that has the channel."""

    publish: bytes
    subscribe: bytes
    unsubscribe: bytes
    message: bytes
    subscribed: bytes
    unsubscribed: bytes


PLAIN = Dialect(b"PUBLISH", b"SUBSCRIBE", b"UNSUBSCRIBE", b"message", b"subscribe", b"unsubscribe")
SHARDED = Dialect(b"SPUBLISH", b"SSUBSCRIBE", b"SUNSUBSCRIBE", b"smessage", b"ssubscribe", b"sunsubscribe")


class Wire(Protocol):
    """One connection. A failed, timed-out or cancelled call leaves it unusable for ever."""

    async def write(self, data: bytes) -> None:
        """Write ``data`` and wait until the transport has taken it."""
        ...

    async def read(self) -> object:
        """Return the next answer.

        Raises:
            Refusal: The answer is an error.
        """
        ...


class BrokerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines and bounds. A frozen server is noticed after at most ping_interval_s + command_timeout_s.

    Attributes:
        connect_timeout_s: For both connections together, login included.
        command_timeout_s: For one round trip, however many messages it carries.
        ping_interval_s: A connection that is quiet for this long is asked whether it lives.
        flush_timeout_s: How long stop() waits for the outbox.
        degraded_s: How long the state stays ``degraded`` after its last cause.
        slow_ms: A round trip above this is ``degraded``.
        outbox_messages, outbox_bytes: What publish() takes before the broker confirmed it: 200,000 ticks are about four
            seconds of what one connection carries (bench/bus.py), twice as long as a frozen broker goes unnoticed.
        chunk_messages, chunk_bytes: What one round trip carries. Reading 512 answers takes about 2 ms of the loop.
        batch_messages: What one callback gets at most.
        retry_base_s, retry_cap_s: Backoff. The cap is short: few nodes knock, and a returned broker is used within 1 s.
    """

    connect_timeout_s: float = 1.0
    command_timeout_s: float = 1.5
    ping_interval_s: float = 0.5
    flush_timeout_s: float = 2.0
    degraded_s: float = 10.0
    slow_ms: float = 200.0
    outbox_messages: int = 200_000
    outbox_bytes: int = 64 * 1024 * 1024
    chunk_messages: int = 512
    chunk_bytes: int = 256 * 1024
    batch_messages: int = 512
    retry_base_s: float = 0.1
    retry_cap_s: float = 1.0


def encode_command(*parts: bytes) -> bytes:
    """Return one command in the Redis protocol. Source: RESP specification, "Sending commands to a Redis server"."""
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


# Asked of a server whether it is still the one that takes writes. Source: Redis manual, "ROLE".
ROLE = encode_command(b"ROLE")


def require_primary(role: object) -> None:
    """Raise ConnectionError if the answer to ``ROLE`` is a replica's: others do not hear what is published there."""
    if isinstance(role, list) and role[:1] == [b"slave"]:
        raise ConnectionResetError("the server is a replica, which takes no writes and is not heard by others")


async def wait_at_most(event: asyncio.Event, limit_s: float) -> None:
    """Return when ``event`` is set or ``limit_s`` has passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
