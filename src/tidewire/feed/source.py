"""What every feed source is, whatever stands behind it: real lines, one line, or no network at all.

It must not know any of them; the market feature talks to this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tidewire.core.feed_status import FeedStatus, FrameInspection, LineHealth, LineState, LineStatus


@dataclass(frozen=True)
class LineConfig:
    """One slot, as the operator configured it.

    Attributes:
        connection_id: ``connection_1`` ...
        name: The operator's name for it.
        enabled: Disabled slots are shown and never run.
        universe_key: Where its tickers came from; None if from a list of symbols.
        tickers: Its tickers, upper case.
        warnings: What the operator should know about this configuration.
    """

    connection_id: str
    name: str
    enabled: bool = True
    universe_key: str | None = None
    tickers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class ConnectionInfo:
    """One slot as programs see it (contract.md section 3). A snapshot: changing it changes nothing."""

    connection_id: str
    name: str
    assigned_tickers: set[str] = field(default_factory=set)
    status: LineStatus = "disconnected"
    message_count: int = 0
    error_count: int = 0
    last_message_time: float | None = None


class FeedLine(Protocol):
    """One line of a source."""

    @property
    def state(self) -> LineState:
        """The present state."""
        ...

    @property
    def state_since(self) -> float:
        """Monotonic seconds when the state began."""
        ...

    def start(self) -> None:
        """Begin in the background; a running line stays as it is."""
        ...

    async def stop(self, state: Literal["disconnected", "paused"]) -> None:
        """End, wait until nothing of it runs, and be in ``state``. Idempotent."""
        ...

    async def settle(self) -> bool:
        """Wait until the first attempt since ``start`` has connected (True) or failed (False)."""
        ...

    def set_tickers(self, tickers: Iterable[str]) -> None:
        """Replace the tickers it should carry; takes effect at once where connected."""
        ...

    def rate(self) -> float:
        """Return events per second over the sliding window."""
        ...

    def health(self, tickers: list[str]) -> LineHealth:
        """Describe the line, which owns ``tickers`` (sorted)."""
        ...

    def inspect(self, frame: int, symbol: str) -> FrameInspection:
        """Return frame number ``frame`` and its event about ``symbol``. Raises NotFound if it is not kept."""
        ...


class FeedSource(Protocol):
    """What the market feature may ask of a source."""

    async def connect(self) -> bool:
        """Start all enabled lines; True if at least one is connected when each has made its first attempt.

        The others go on trying. Calling it again while running changes nothing. It returns within the sum of the
        stage timeouts.
        """
        ...

    async def disconnect(self) -> None:
        """Stop everything and wait until nothing runs. Idempotent; ``connect`` may follow."""
        ...

    def subscribe(self, tickers: Iterable[str]) -> bool:
        """Give new tickers to the least loaded lines; False (and a warning, and nothing done) if that cannot be."""
        ...

    def unsubscribe(self, tickers: Iterable[str]) -> None:
        """Stop carrying tickers; unknown ones are ignored."""
        ...

    def get_health_status(self) -> dict[str, Any]:
        """Return contract.md section 3 as builtins."""
        ...

    def health(self) -> FeedStatus:
        """Return the same as a struct."""
        ...

    def get_ticker_assignment(self, ticker: str) -> str | None:
        """Return the line that carries ``ticker``; None if nobody does."""
        ...

    def get_connection_tickers(self, connection_id: str) -> set[str]:
        """Return a copy of what a line carries; empty if there is no such line."""
        ...

    @property
    def connections(self) -> dict[str, ConnectionInfo]:
        """Snapshots of all slots by id."""
        ...

    async def pause(self, by: str, reason: str = "") -> None:
        """Stop all lines for everybody until ``resume``."""
        ...

    async def resume(self) -> None:
        """End the pause."""
        ...

    def reconnect(self, connection_id: str) -> None:
        """End a line's connection and begin anew in the background. Raises NotFound or Conflict."""
        ...

    def move(self, ticker: str, connection_id: str) -> None:
        """Make ``connection_id`` the home of a ticker that is carried already. Raises NotFound or InvalidRequest."""
        ...

    def inspect(self, connection_id: str, frame: int, symbol: str) -> FrameInspection:
        """Return the raw frame behind a tick. Raises NotFound when it has left the ring."""
        ...


@dataclass(frozen=True)
class LineTiming:
    """Every deadline of a line, seconds. The defaults are the reasons' best guess, settled by no real key yet.

    Attributes:
        connect_s, greeting_s, auth_s, ack_s: One per stage.
        ping_idle_s: Silence on the socket before we ping.
        pong_s: Silence after our ping before the peer counts as gone (half-open is found within 20 s).
        stable_s: Data must flow this long before failures are forgotten.
        quiet_stable_s: Or the connection must have lasted this long without any.
        backoff_base_s, backoff_cap_s: Full jitter between.
        max_failures: Consecutive failures that open the circuit; then one probe per ``backoff_cap_s``.
        auth_retry_s: After a refused key.
        limit_cooldown_s: Smallest pause after ``max_connections``; the largest first one is twice that.
        mute_s: A formerly busy line that is silent in session this long reconnects; doubled each time it did not help.
        failover_s: A line down this long gives its tickers to others.
        failback_s: A line connected this long takes them back.
        overlap_s: How long the old line goes on sending a ticker that moved home (duplicates are dropped).
        expected_delay_s: Delay of the plan's data (900 on the delayed feed); latency is judged beyond it.
    """

    connect_s: float = 10.0
    greeting_s: float = 5.0
    auth_s: float = 5.0
    ack_s: float = 10.0
    # With a look each second, 9 and 9 find a half-open connection within 20 s (reliability.md R16).
    ping_idle_s: float = 9.0
    pong_s: float = 9.0
    stable_s: float = 10.0
    quiet_stable_s: float = 60.0
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    max_failures: int = 8
    auth_retry_s: float = 300.0
    limit_cooldown_s: float = 60.0
    mute_s: float = 60.0
    failover_s: float = 2.0
    failback_s: float = 10.0
    overlap_s: float = 2.0
    expected_delay_s: float = 0.0


def clean_tickers(tickers: Iterable[str]) -> Sequence[str]:
    """Return tickers stripped, in upper case, each once, in order."""
    return list(dict.fromkeys(ticker.strip().upper() for ticker in tickers))
