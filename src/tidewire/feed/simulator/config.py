"""The simulator's one configuration object: frozen, checked once. It must not know environment variables."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidewire.core.errors import SettingsError
from tidewire.feed.simulator.listing import MAX_TICKERS

Eviction = Literal["oldest", "newest", "random"]
EVICTIONS: tuple[Eviction, ...] = ("oldest", "newest", "random")
MAX_RATE = 50_000
# Setting -> (lowest, highest); whole numbers where the lowest is one.
_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "control_port": (0, 65_535),
    "tickers": (1, MAX_TICKERS),
    "rate": (1, MAX_RATE),
    "quote_share": (0.0, 0.95),
    "day_seconds": (1.0, 86_400.0),
    "max_connections": (1, 16),
    "auth_timeout_s": (0.1, 3_600.0),
    "close_linger_s": (0.1, 60.0),
    "max_buffer_bytes": (4_096, 1 << 30),
    "max_frame_events": (1, 5_000),
}


class ScriptedPress(msgspec.Struct, frozen=True):
    """A fault that is pressed by the simulator itself.

    Attributes:
        at_s: Market time, seconds since the start.
        fault: Name, as in ``POST /faults/{fault}``.
        request: The press's JSON object.
    """

    at_s: float
    fault: str
    request: dict[str, int | float | str] = {}


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the simulator can be told.

    Attributes:
        host: Address of the WebSocket server.
        port: Its port; 0 picks a free one.
        control_port: Port of the HTTP control on 127.0.0.1; 0 picks a free one, None leaves it out.
        keys: API keys that may connect.
        no_plan_keys: Keys that are valid but have no plan for this market.
        not_authorized: Channels that no key may subscribe to (answered ``not authorized``).
        tickers: How many tickers are listed, the five real ones first; at most 500.
        rate: Events per second that the whole market makes: T, Q, A and AM together, whether anyone wants them or not.
            A client gets those it subscribed to; three clients on ``T.*`` each get all of the market's trades.
        quote_share: Share of quotes among trades and quotes.
        seed: Decides every price, size and choice.
        day_seconds: How long one replayed trading day takes.
        max_connections: Per key. Beyond it ``eviction`` decides who gets ``max_connections`` and close 1008.
        eviction: ``oldest`` connection, ``newest`` after its first subscribe, or ``random`` (seeded).
        acks: Subscribe answers of one request in one frame (``batched``) or one frame each (``single``).
        auth_timeout_s: How long a connection may stay unauthenticated.
        close_linger_s: How long the peer may take to answer a close frame before TCP is aborted.
        max_buffer_bytes: Unsent bytes of one connection above which it is a slow consumer.
        max_frame_events: Events in one frame at most.
        script: Faults pressed at given times.
    """

    host: str = "127.0.0.1"
    port: int = 0
    control_port: int | None = 0
    keys: tuple[str, ...] = ("simulator-key",)
    no_plan_keys: tuple[str, ...] = ()
    not_authorized: tuple[str, ...] = ("NOI",)
    tickers: int = MAX_TICKERS
    rate: int = 1_000
    quote_share: float = 0.5
    seed: int = 1
    day_seconds: float = 60.0
    max_connections: int = 3
    eviction: Eviction = "oldest"
    acks: Literal["batched", "single"] = "batched"
    auth_timeout_s: float = 10.0
    close_linger_s: float = 2.0
    max_buffer_bytes: int = 8 * 1024 * 1024
    max_frame_events: int = 500
    script: tuple[ScriptedPress, ...] = ()

    def __post_init__(self) -> None:
        """Check every value. Raises SettingsError."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is None and name == "control_port":
                continue
            whole = isinstance(low, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise _refuse(name, value, f"is not a {'whole ' if whole else ''}number")
            if not low <= value <= high:
                raise _refuse(name, value, f"is outside {low:g}..{high:g}")
        if self.eviction not in EVICTIONS:
            raise _refuse("eviction", self.eviction, f"is none of {', '.join(EVICTIONS)}")
        if self.acks not in ("batched", "single"):
            raise _refuse("acks", self.acks, "is neither batched nor single")
        if not (self.keys or self.no_plan_keys) or not all((*self.keys, *self.no_plan_keys)):
            raise _refuse("keys", "(masked)", "must name at least one key, and none may be empty")


def mask(key: str) -> str:
    """Return a key as it may be shown: two letters at most, never its length."""
    return f"{key[:2] if len(key) >= 8 else ''}***"


def _refuse(name: str, value: object, why: str) -> SettingsError:
    return SettingsError(
        f"Simulator setting {name} = {value!r} {why}.",
        required_action=f"Give {name} another value.",
        will_not="The simulator will not start with it, nor put a default in its place.",
        code="simulator_setting_invalid",
    )
