"""Socket.IO packets, JSON only, checked before anything acts on them. It must not know sockets or handlers.

The library buffers binary attachments without bound and lets a client send events named ``connect`` and
``disconnect``, which would call the server's own handlers; neither gets past here.
Source: Socket.IO protocol 5 (packet types 0-6); reliability.md finding 9.
"""

from __future__ import annotations

from typing import Any

import msgspec
from engineio import packet as engine_packet
from socketio import packet as socketio_packet

# Names that Socket.IO reserves for itself; a client that sends one as an event is not a Socket.IO client.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
MAX_NAMESPACE_CHARS = 128
MAX_EVENT_CHARS = 64
# What a client may send over a WebSocket: close, pong, message (Engine.IO 4); the rest belongs to polling or upgrades.
_CLOSE_OR_PONG = ("1", "3")
# connect, disconnect, event, ack.
_MESSAGE_TYPES = "0123"


class BadPacket(ValueError):
    """The packet is not one that a JSON-only Socket.IO 5 client may send; the text says why."""


class JsonModule:
    """What Socket.IO wants of a JSON module. msgspec writes NaN as null; ``json`` writes what no browser reads."""

    @staticmethod
    def dumps(data: object, **_: object) -> str:
        """Return ``data`` as compact JSON; msgspec structs and ``msgspec.Raw`` are welcome in it."""
        return msgspec.json.encode(data).decode()

    @staticmethod
    def loads(text: str) -> Any:
        """Return the value in ``text``. Raises msgspec.DecodeError, RecursionError."""
        return msgspec.json.decode(text)


class JsonPacket(socketio_packet.Packet):  # type: ignore[misc]
    """The library's packet without binary."""

    uses_binary_events = False
    json = JsonModule

    def decode(self, encoded_packet: str) -> int:
        """Parse and check. Raises BadPacket."""
        try:
            attachments = super().decode(encoded_packet)
        except (ValueError, TypeError, RecursionError) as exc:
            raise BadPacket(f"not a Socket.IO packet: {exc}") from exc
        if attachments or self.packet_type not in range(len(_MESSAGE_TYPES)):
            raise BadPacket("binary or unknown packet type")
        if self.namespace is not None and len(self.namespace) > MAX_NAMESPACE_CHARS:
            raise BadPacket("namespace too long")
        self._check_data()
        return 0

    def _check_data(self) -> None:
        data = self.data
        if self.packet_type == socketio_packet.CONNECT and not (data is None or isinstance(data, dict)):
            raise BadPacket("connect data must be an object")
        if self.packet_type == socketio_packet.EVENT:
            if not (isinstance(data, list) and data and isinstance(data[0], str)):
                raise BadPacket("an event is an array that begins with its name")
            if len(data[0]) > MAX_EVENT_CHARS or data[0] in RESERVED_EVENTS:
                raise BadPacket("reserved or too long event name")
        if self.packet_type == socketio_packet.ACK and not (isinstance(data, list) and self.id is not None):
            raise BadPacket("an acknowledgement is an array with an id")


def check_frame(text: str | None) -> None:
    """Check a WebSocket message before Engine.IO sees it. Raises BadPacket.

    Args:
        text: The message; None if it was a binary one.
    """
    if text is None:
        raise BadPacket("binary message on a JSON-only channel")
    if text in _CLOSE_OR_PONG:
        return
    if len(text) < 2 or text[0] != "4" or text[1] not in _MESSAGE_TYPES:
        raise BadPacket("not a packet that a client may send here")


def ack_text(namespace: str | None, ack_id: int, data: object) -> str:
    """Return an acknowledgement as Socket.IO text."""
    packet = JsonPacket(socketio_packet.ACK, namespace=namespace, id=ack_id, data=[data])
    return str(packet.encode())


def event_packet(event: str, data: object, namespace: str) -> engine_packet.Packet:
    """Return an event as an Engine.IO packet; it is serialised once however many sockets it is queued for."""
    text = (
        f"2{namespace},{JsonModule.dumps([event, data])}" if namespace != "/" else f"2{JsonModule.dumps([event, data])}"
    )
    return engine_packet.Packet(engine_packet.MESSAGE, text)
