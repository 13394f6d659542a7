"""A tick as it comes off the bus and as a viewer gets it. Pure; it must not know connections, viewers or the bus.

Anybody may publish on the tick channel, so everything is checked before it counts: size, types, ranges, the symbol's
grammar and the time. A message that fails costs exactly itself.
Source: contract.md section 3 (channel ``tickstock:market:ticks``); docs/admin-channel.md (the tick a viewer gets).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# A Tidewire tick is about 230 bytes; programs that add fields of their own stay far below this.
MAX_PAYLOAD_BYTES = 4096
# BRK.B, BACpK, EUR/USD, BTC-USD, C:EURUSD, I:SPX, O:AAPL230616C00150000 (21 characters) and futures all fit.
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/^=_-]{0,31}", re.ASCII)
# 2000-01-01: anything older is a unit error (seconds taken for days, zero), not a replayed tick.
OLDEST_TIMESTAMP = 946_684_800.0
# Above it the number is milliseconds since the epoch, not seconds.
NEWEST_TIMESTAMP = 4_000_000_000.0
# A venue's clock may run ahead, a replay may be dated today; more than a day ahead is nonsense.
MAX_AHEAD_S = 86_400.0

_Stamp = Annotated[float, Meta(ge=0.0, le=NEWEST_TIMESTAMP)]


class BusTick(msgspec.Struct, frozen=True, gc=False):
    """core.market.Tick with bounds on every field, so that the decoder itself refuses absurd values."""

    type: Literal["market_tick"]
    symbol: Annotated[str, Meta(min_length=1, max_length=32)]
    price: Annotated[float, Meta(gt=0.0, le=1e12)]
    volume: Annotated[float, Meta(ge=0.0, le=1e15)]
    timestamp: Annotated[float, Meta(ge=OLDEST_TIMESTAMP, le=NEWEST_TIMESTAMP)]
    source: Annotated[str, Meta(min_length=1, max_length=64)]
    connection_id: Annotated[str, Meta(max_length=64)] | None = None
    event: Annotated[str, Meta(max_length=16)] = ""
    received: _Stamp = 0.0
    published: _Stamp = 0.0
    frame: Annotated[int, Meta(ge=0, le=2**53)] = 0


class WireTick(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type", tag="market_tick"
):
    """The tick of docs/admin-channel.md. Fields without a default are always present, null included."""

    symbol: str
    price: float
    volume: float
    timestamp: float
    source: str
    connection_id: str | None
    event: str = ""
    received: float = 0.0
    published: float = 0.0
    frame: int = 0
    id: int
    change_pct: float | None


class Seen(msgspec.Struct, gc=False):
    """One accepted tick with what this process added.

    Attributes:
        id: Counts ticks in this process, from 1.
        tick: The message.
        connection_id: The line it is filed under; None if nobody owns the symbol.
        change_pct: Change against the symbol's previous tick, percent; None for the first.
        seen: When this process got it, Unix seconds.
        raw: The bus message itself, kept for ticks that have no upstream frame to ask for.
    """

    id: int
    tick: BusTick
    connection_id: str | None
    change_pct: float | None
    seen: float
    raw: bytes | None
    _wire: msgspec.Raw | None = None

    @property
    def lane(self) -> str:
        """The connection's id, or ``unassigned``."""
        return self.connection_id or UNASSIGNED

    @property
    def is_upstream(self) -> bool:
        """Whether the feed can show the upstream frame behind this tick."""
        return self.raw is None

    def wire(self) -> msgspec.Raw:
        """Return the tick as JSON for viewers; encoded once however many viewers get it."""
        if self._wire is None:
            tick = self.tick
            self._wire = msgspec.Raw(
                _encode(
                    WireTick(
                        symbol=tick.symbol,
                        price=tick.price,
                        volume=tick.volume,
                        timestamp=tick.timestamp,
                        source=tick.source,
                        connection_id=self.connection_id,
                        event=tick.event,
                        received=tick.received,
                        published=tick.published,
                        frame=tick.frame,
                        id=self.id,
                        change_pct=self.change_pct,
                    )
                )
            )
        return self._wire


# Stands for ticks that nobody owns wherever a connection id is expected.
UNASSIGNED = "unassigned"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BusTick).decode


class Malformed(ValueError):
    """A bus message is not what its channel carries; the text says why."""


def decode_tick(payload: bytes, now: float) -> BusTick:
    """Return the tick in ``payload``; the symbol's grammar is the caller's to check, once per new symbol.

    Args:
        now: Unix seconds.

    Raises:
        Malformed: Too large, not JSON, a field missing or absurd.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are accepted")
    try:
        tick = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Malformed(str(exc)) from exc
    except RecursionError as exc:
        raise Malformed("JSON nested too deeply") from exc
    if tick.timestamp > now + MAX_AHEAD_S:
        raise Malformed(f"timestamp {tick.timestamp} lies more than a day ahead")
    return tick


def sample_of(payload: bytes, limit: int = 200) -> str:
    """Return the beginning of a bad message as printable text, at most ``limit`` characters."""
    text = payload[:limit].decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)[:limit]
