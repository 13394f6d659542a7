"""What a press of a fault says, and what it is answered. Pure; it must not know what the faults do."""

from __future__ import annotations

from http import HTTPStatus
from math import inf
from typing import Literal

import msgspec

from tidewire.core.errors import InvalidRequest

Variant = Literal["truncated", "no_ev", "wrong_type", "not_objects", "invalid_utf8", "binary"]


class Press(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a press may say; each fault reads the fields it needs.

    Attributes:
        connection: A connection's number, or ``all`` that are open.
        seconds: How long (mute, stall: until ``unmute`` if absent; burst: 5).
        code: Close code (close, force_disconnect); 1011 and 1008 if absent.
        count: How many (auth_failed, refuse).
        factor: How many times the rate (burst).
        status: HTTP status (refuse).
        variant: Which kind of malformed frame.
        bytes: Size of an oversized frame.
        ticker: Which bar (resend_bar); the newest of the connection's if absent.
        message: Text of the status (slow_consumer, force_disconnect), whose real texts are unverified.
    """

    connection: int | Literal["all"] = "all"
    seconds: float | None = None
    code: int | None = None
    count: int = 1
    factor: float = 10.0
    status: int = 503
    variant: Variant = "truncated"
    bytes: int = 1_100_000
    ticker: str | None = None
    message: str | None = None

    def until_s(self, now_s: float, default_s: float = inf) -> float:
        """Return when it ends: ``seconds`` from ``now_s``, or ``default_s`` from it if absent."""
        # To the millisecond, the grain of market time: 0.2 + 0.1 must not last one quantum more than 0.3.
        return round(now_s + (default_s if self.seconds is None else self.seconds), 3)


class Pressed(msgspec.Struct, frozen=True):
    """Answer to a press.

    Attributes:
        fault: Its name.
        connections: Numbers of the connections it was done to.
        done: What was done, one sentence.
        at_s: Market time, seconds since the start.
        until_s: When it ends by itself, market time; None if it does not or is over.
    """

    fault: str
    connections: list[int]
    done: str
    at_s: float
    until_s: float | None = None


_LIMITS: dict[str, tuple[float, float]] = {
    "seconds": (0.01, 86_400.0),
    "code": (1_000, 4_999),
    "count": (1, 10_000),
    "factor": (1.0, 100.0),
    "status": (400, 599),
    "bytes": (1_024, 64 * 1024 * 1024),
}
# RFC 6455 7.4: these never stand in a close frame.
_RESERVED_CODES = (1004, 1005, 1006, 1015)


def read_press(request: object) -> Press:
    """Check the object that came with a press. Raises InvalidRequest."""
    try:
        press = msgspec.convert(request, Press)
    except msgspec.ValidationError as exc:
        raise _invalid(str(exc)) from exc
    for name, (low, high) in _LIMITS.items():
        value = getattr(press, name)
        if value is not None and not low <= value <= high:
            raise _invalid(f"{name} = {value} is outside {low:g}..{high:g}")
    if press.code in _RESERVED_CODES or (press.code is not None and 1_015 < press.code < 3_000):
        raise _invalid(f"code = {press.code} must not stand in a close frame (RFC 6455, 7.4)")
    if press.status not in set(HTTPStatus):
        raise _invalid(f"status = {press.status} is no HTTP status")
    if press.message is not None and len(press.message) > 1_000:
        raise _invalid("message is longer than 1,000 characters")
    return press


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The press cannot be read: {why}.",
        required_action="Send a JSON object with the fields connection, seconds, code, count, factor, status, variant, "
        "bytes, ticker and message; all are optional.",
        will_not="The simulator will not press anything.",
    )
