"""Market words: the tick that every floor passes on. Pure; it must not know where a tick came from or goes to.

Source: contract.md section 3 (bus channel ``tickstock:market:ticks``).
"""

from __future__ import annotations

import msgspec

TICK_CHANNEL = "tickstock:market:ticks"


class Tick(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag="market_tick"):
    """One price of one symbol, as it stands on the bus (one JSON object per message).

    Attributes:
        symbol: Ticker, upper case, as the venue writes it (``BRK.B``).
        price: Price in the quote currency, > 0.
        volume: Shares of this event (trade size, or the bar's volume).
        timestamp: Exchange time, Unix seconds, UTC.
        source: Who produced it: ``massive``, ``synthetic``, or another program's name.
        connection_id: The line that owns the symbol (``connection_1``..); None if nobody does.
        event: Upstream event type: ``T`` trade, ``A`` second bar, ``AM`` minute bar; "" if unknown.
        received: When Tidewire read the frame, Unix seconds; 0.0 if Tidewire did not.
        published: When Tidewire wrote it to the bus, Unix seconds; 0.0 if Tidewire did not.
        frame: Number of the upstream frame on its line (counts from 1); 0 if there was none.
        epoch, offset: Its place among the symbol's ticks, the same for every process; only where several share rooms.

    A feed that holds a lease adds a last member ``fence`` as it publishes (core/fence.py).
    """

    symbol: str
    price: float
    volume: float
    timestamp: float
    source: str
    connection_id: str | None = None
    event: str = ""
    received: float = 0.0
    published: float = 0.0
    frame: int = 0
    epoch: str = ""
    offset: int = 0
