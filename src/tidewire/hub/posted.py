"""A room's message between its publisher and the nodes: everything but its place, which the log gives. Pure.

Each node makes the wire message of it, once per audience. It must not know logs or channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidewire.core.protocol import Delivery
from tidewire.core.unreadable import UNREADABLE

# How a message without a place begins on a room's channel.
VOLATILE = b"~"


class Posted(msgspec.Struct, frozen=True, array_like=True):
    """One message.

    Attributes:
        bodies: Members of the wire message per audience; the empty name stands for all of them.
        timestamp: When its node took it, Unix seconds.
        delivery: Only of a message without a place, if it is not volatile.
    """

    kind: str
    timestamp: float
    bodies: dict[str, bytes]
    key: str | None = None
    delivery: Delivery | None = None

    def body(self) -> bytes | Mapping[str, bytes]:
        """Return it as rooms take it."""
        return self.bodies.get("", self.bodies)


_decode = msgspec.msgpack.Decoder(Posted).decode
_encode = msgspec.msgpack.Encoder().encode


def pack(posted: Posted) -> bytes:
    """Return the bytes for a log or a channel."""
    return _encode(posted)


def unpack(payload: bytes) -> Posted | None:
    """Read them; None if they are not a message of this version."""
    try:
        return _decode(payload)
    except UNREADABLE:
        return None


def posted(
    body: bytes | Mapping[str, bytes], *, kind: str, timestamp: float, key: str | None, delivery: Delivery | None = None
) -> Posted:
    """Return a message."""
    return Posted(kind, timestamp, {"": body} if isinstance(body, bytes) else dict(body), key, delivery)
