"""Market rooms: which room a tick belongs to, what its subscribers get, and how the room behaves. Pure.

Anybody may publish on the tick channel, so a tick is checked before it reaches a room; what fails costs exactly itself.
It must not know the hub, the bus or who is subscribed.
Source: contract.md section 3 (the tick), section 5 (``market:{SYMBOL}``, latest per key).
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from tidewire.core.protocol import Epoch, Offset, RoomId, Since
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.room import RoomRules

PREFIX = "market:"
KIND = "tick"
# Tidewire's own ticks are about 230 bytes; programs that add fields stay far below this.
MAX_PAYLOAD_BYTES = 4_096
# 2000-01-01; older is a unit error. Above the other the number is milliseconds.
OLDEST_TIMESTAMP = 946_684_800.0
NEWEST_TIMESTAMP = 4_000_000_000.0

# 16 KiB are about 60 ticks: enough for a page that reconnects within seconds to miss nothing, and 3,000 busy rooms stay
# under 50 MB. A newcomer gets the newest tick.
RULES = RoomRules(
    delivery="latest", history_messages=100, history_age_s=60.0, history_bytes=16_384, state_keys=1, fed=True
)


class TickData(msgspec.Struct, frozen=True, gc=False):
    """What a subscriber learns of a tick; the fields are those of the bus message.

    Attributes:
        timestamp: Exchange time, Unix seconds.
        connection_id: The line that published it; null if another program did.
        event: ``T`` trade, ``A`` second bar, ``AM`` minute bar; "" if unknown.
    """

    symbol: Annotated[str, Meta(min_length=1, max_length=32)]
    price: Annotated[float, Meta(gt=0.0, le=1e12)]
    volume: Annotated[float, Meta(ge=0.0, le=1e15)]
    timestamp: Annotated[float, Meta(ge=OLDEST_TIMESTAMP, le=NEWEST_TIMESTAMP)]
    source: Annotated[str, Meta(min_length=1, max_length=64)]
    connection_id: Annotated[str, Meta(max_length=64)] | None = None
    event: Annotated[str, Meta(max_length=16)] = ""


class TickMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=KIND):
    """A market room's message. ``timestamp`` of the envelope is when the server took it.

    Attributes:
        epoch, offset: Absent where several nodes share rooms and another program than the feed published the tick.
    """

    room_id: RoomId
    timestamp: float
    data: TickData
    epoch: Epoch | None = None
    offset: Offset | None = None


class _BusTick(TickData, frozen=True, gc=False, kw_only=True):
    type: Literal["market_tick"]
    epoch: Annotated[str, Meta(max_length=64)] = ""
    offset: Offset = 0


class Shown(NamedTuple):
    """A tick as a room takes it; ``place`` is None if its publisher gave it none."""

    body: bytes
    place: Since | None


class _Head(msgspec.Struct, frozen=True, gc=False):
    symbol: str


# Coders hold no state between calls.
_decode = msgspec.json.Decoder(_BusTick).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode
# How Tidewire's own publisher begins each message; others are parsed.
START = b'{"type":"market_tick","symbol":"'


def symbol_of(payload: bytes) -> str | None:
    """Return the symbol of a bus message, None if it has none; nothing else is checked yet."""
    try:
        return _decode_head(payload).symbol
    except UNREADABLE:
        return None


def tick_body(payload: bytes, symbol: str) -> Shown | None:
    """Return a bus message as a room takes it, None if it is not a tick of ``symbol``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        tick = _decode(payload)
    except UNREADABLE:
        return None
    if tick.symbol != symbol:
        return None
    data = TickData(tick.symbol, tick.price, tick.volume, tick.timestamp, tick.source, tick.connection_id, tick.event)
    place = Since(tick.epoch, tick.offset) if tick.epoch and tick.offset else None
    return Shown(b'{"data":%b}' % _encode(data), place)
