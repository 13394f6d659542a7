"""What ``GET /state`` shows. Pure; keys appear masked, and every ticker says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tidewire.feed.simulator.config import ScriptedPress, SimulatorConfig, mask
from tidewire.feed.simulator.instrument import Instrument
from tidewire.feed.simulator.listing import REAL_LABEL
from tidewire.feed.simulator.session import Session
from tidewire.feed.simulator.venue import Counters


class ConnectionState(msgspec.Struct, frozen=True):
    """One connection. Times are market seconds; ``unsent_bytes`` is what the peer has not taken."""

    id: int
    stage: str
    key: str
    topics: int
    opened_s: float
    muted: bool
    stalled: bool
    frames: int
    events: int
    bytes: int
    unsent_bytes: int


class TickerState(msgspec.Struct, frozen=True):
    """One ticker. ``day`` is the bar that is being replayed, ``price`` the last trade's, dollars."""

    symbol: str
    kind: str
    label: str
    day: str
    price: float
    trades: int
    quotes: int


class MarketState(msgspec.Struct, frozen=True):
    """The pace.

    Attributes:
        at_s: Market seconds since the start.
        rate: Events per second now.
        events: Events made since the start, wanted or not.
        pending_bars: Bars waiting for their turn.
        skipped_s: Seconds that were left out because the machine was too slow.
    """

    at_s: float
    rate: int
    events: int
    pending_bars: int
    skipped_s: float


class SimulatorState(msgspec.Struct, frozen=True):
    """Everything. ``presses`` can be given back as ``SimulatorConfig.script`` to play the same faults again."""

    label: str
    market: MarketState
    counters: Counters
    connections: list[ConnectionState]
    tickers: list[TickerState]
    presses: list[ScriptedPress]
    config: dict[str, object]


def describe_connection(session: Session, now_s: float, unsent_bytes: int) -> ConnectionState:
    """Return what may be shown of one connection."""
    return ConnectionState(
        id=session.number,
        stage=session.stage.value,
        key=mask(session.key) if session.key else "",
        topics=len(session.topics),
        opened_s=session.opened_s,
        muted=session.quiet(now_s),
        stalled=session.stalled(now_s),
        frames=session.frames,
        events=session.events,
        bytes=session.bytes,
        unsent_bytes=unsent_bytes,
    )


def describe(
    config: SimulatorConfig,
    market: MarketState,
    counters: Counters,
    connections: Sequence[ConnectionState],
    instruments: Iterable[Instrument],
    presses: Iterable[ScriptedPress],
) -> SimulatorState:
    """Put the whole state together."""
    tickers = [
        TickerState(
            symbol=one.symbol,
            kind=one.listing.kind,
            label=one.listing.label,
            day=one.bar.day,
            price=one.price,
            trades=one.trades,
            quotes=one.quotes,
        )
        for one in instruments
    ]
    shown: dict[str, object] = msgspec.to_builtins(config)
    for name in ("keys", "no_plan_keys"):
        shown[name] = [mask(key) for key in getattr(config, name)]
    label = f"simulated market: {REAL_LABEL}"
    if any(one.kind == "synthetic" for one in tickers):
        label += "; the other tickers are synthetic"
    return SimulatorState(label, market, counters, list(connections), tickers, list(presses), shown)
