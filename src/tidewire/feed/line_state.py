"""The states of one upstream line: every legal transition, and the judgement of a connected line. Pure.

It must not know sockets or timers. ``LineState`` itself is a word of core/feed_status.py, shared with the page.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidewire.core.errors import TidewireError
from tidewire.core.feed_status import LineState, LineStatus

_CONNECTED: Final[frozenset[LineState]] = frozenset({"live", "degraded", "stale", "market_closed"})
# Where every attempt may end, and where it may be taken from outside (stop, pause).
_DOWN: Final[frozenset[LineState]] = frozenset({"disconnected", "cooldown", "open_circuit", "failed", "paused"})

# Every legal transition. Staying is always legal. `disabled` lines never run, so nothing leads out.
TRANSITIONS: Final[dict[LineState, frozenset[LineState]]] = {
    "disabled": frozenset(),
    "disconnected": _DOWN | {"connecting"},
    "connecting": _DOWN | {"greeting"},
    "greeting": _DOWN | {"authenticating"},
    "authenticating": _DOWN | {"subscribing"},
    "subscribing": _DOWN | _CONNECTED,
    "live": _DOWN | _CONNECTED,
    "degraded": _DOWN | _CONNECTED,
    "stale": _DOWN | _CONNECTED,
    "market_closed": _DOWN | _CONNECTED,
    "cooldown": _DOWN | {"connecting"},
    "open_circuit": _DOWN | {"connecting"},
    "failed": _DOWN | {"connecting"},
    "paused": _DOWN | {"connecting"},
}

_STATUS: Final[dict[LineState, LineStatus]] = {
    "disabled": "disabled",
    "disconnected": "disconnected",
    "connecting": "connecting",
    "greeting": "connecting",
    "authenticating": "connecting",
    "subscribing": "connecting",
    "live": "connected",
    "degraded": "connected",
    "stale": "connected",
    "market_closed": "connected",
    "cooldown": "error",
    "open_circuit": "error",
    "paused": "disconnected",
    "failed": "error",
}


class IllegalTransition(TidewireError):
    """A line was told to take a step that its state does not allow: a fault in Tidewire itself."""

    code = "illegal_transition"


def status_of(state: LineState) -> LineStatus:
    """Return the contract's coarse word for ``state``."""
    return _STATUS[state]


def is_connected(state: LineState) -> bool:
    """Tell whether data can flow in ``state``."""
    return state in _CONNECTED


def move(state: LineState, target: LineState) -> LineState:
    """Return ``target`` if it may follow ``state``.

    Raises:
        IllegalTransition: It may not.
    """
    if target != state and target not in TRANSITIONS[state]:
        raise IllegalTransition(
            f"A line cannot go from {state} to {target}.",
            required_action="Report this as a fault of Tidewire, with the log.",
            will_not="The line does not change its state.",
        )
    return target


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a connected line.

    Attributes:
        has_topics: Whether anything is subscribed.
        silent_s: Seconds without data.
        threshold_s: Seconds of silence that are normal for this line.
        in_session: Whether the market trades now.
        malformed_share: Malformed events per event over the last minute, 0..1.
        lag_ms: 99th percentile of the latency beyond what the feed's plan delays, milliseconds; None if unknown.
    """

    has_topics: bool
    silent_s: float
    threshold_s: float
    in_session: bool
    malformed_share: float
    lag_ms: float | None


# Source: reliability.md 4 (malformed > 1 % per minute; skew alert above 2 s).
MAX_MALFORMED_SHARE: Final = 0.01
MAX_LAG_MS: Final = 2_000.0
# Out of session nobody expects data: ten seconds without any say "closed".
CLOSED_AFTER_S: Final = 10.0


def judge(vitals: Vitals) -> LineState:
    """Return the state of a connected line: silence first, then quality. A line without topics is never stale."""
    if vitals.has_topics:
        if not vitals.in_session and vitals.silent_s >= CLOSED_AFTER_S:
            return "market_closed"
        if vitals.in_session and vitals.silent_s >= vitals.threshold_s:
            return "stale"
    if vitals.malformed_share > MAX_MALFORMED_SHARE:
        return "degraded"
    if vitals.lag_ms is not None and vitals.lag_ms > MAX_LAG_MS:
        return "degraded"
    return "live"
