"""Tells the operator of connections that ended in trouble: one log line per code and ten seconds, with the count.

An ordinary coming and going is no news and is only counted (house rule: a disconnected peer is not an error). It must
not know sessions or sockets.
Source: reliability.md section 4, signal 2, "rate-limited with a count, never dropped silently".
"""

from __future__ import annotations

import structlog

from tidewire.core.close_code import CLOSE_CODES
from tidewire.core.throttle import Throttle

_log = structlog.get_logger(__name__)

# RFC 6455 section 7.4.1: what a peer is closed with that broke the protocol.
_BREACHES = {
    1002: "protocol_error",
    1003: "unsupported_data",
    1007: "invalid_utf8",
    1008: "policy_violation",
    1009: "message_too_big",
}
# Planned ends and ends of a login are the ordinary course; all others mean that somebody is in trouble.
_ORDINARY = frozenset({4000, 4001, 4200, 4202, 4503, 4511, 4512})
_ACTION = "If it repeats, look at this client: its address and close code are on record."


class Farewells:
    """What has been told, and when."""

    def __init__(self) -> None:
        self._throttles: dict[int, Throttle] = {}

    def note(self, code: int | None, *, connection_id: str, now: float) -> None:
        """A connection has ended with ``code``; ``now`` is monotonic seconds."""
        known = CLOSE_CODES.get(code or 0)
        name = known.name if known is not None else _BREACHES.get(code or 0)
        if code is None or name is None or code in _ORDINARY:
            return
        count = self._throttles.setdefault(code, Throttle()).admit(now)
        if count:
            _log.warning(
                "connections_closed",
                code=name,
                close_code=code,
                count=count,
                connection_id=connection_id,
                what_happened=known.meaning if known is not None else "The peer broke the WebSocket protocol.",
                required_action=_ACTION,
                will_not="Tidewire will not keep such a connection open.",
            )
