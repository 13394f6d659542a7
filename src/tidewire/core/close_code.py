"""Every WebSocket close code that Tidewire uses, with what a client should do about it. Pure.

It must not know who closes or why; a code that is not in the table is judged by its range, so that an old client
does the right thing with a code that was added after it was written.
Source: contract.md section 5, "Close codes"; RFC 6455 section 7.4.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reconnect(enum.StrEnum):
    """What the client does after a close."""

    AT_ONCE = "at_once"  # after reconnect_after_ms if given, else without delay
    BACKOFF = "backoff"  # full jitter
    NEW_TOKEN = "new_token"  # only with a new token  # noqa: S105 - a word of the protocol
    NEVER = "never"  # trying again cannot help


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One close code.

    Attributes:
        code: The number in the close frame.
        name: Its stable name; also the close frame's reason.
        meaning: What happened, one sentence for people.
        action: What the person or program at the other end should do.
    """

    code: int
    name: str
    meaning: str
    action: str

    @property
    def reconnect(self) -> Reconnect:
        """What the client does next."""
        return reconnect_after(self.code)


_TABLE = (
    CloseCode(4000, "drain", "This node is being shut down.", "Reconnect after the hint."),
    CloseCode(4001, "rebalance", "This node hands connections to others.", "Reconnect after the hint."),
    CloseCode(4002, "insufficient_state", "Your state does not fit what was sent.", "Reconnect and resume."),
    CloseCode(4003, "slow_consumer", "You read more slowly than messages arrive.", "Reconnect, resume, ask for less."),
    CloseCode(4004, "no_pong", "No sign of life within the heartbeat's time.", "Reconnect and resume."),
    CloseCode(4006, "state_invalidated", "What you hold is no longer true.", "Drop local state, then reconnect."),
    CloseCode(4100, "broker_unavailable", "The message broker cannot be reached.", "Reconnect with backoff."),
    CloseCode(4101, "storage_unavailable", "The database cannot be reached.", "Reconnect with backoff."),
    CloseCode(4102, "node_overloaded", "This node has no room for another connection.", "Reconnect with backoff."),
    CloseCode(4103, "rate_limited", "Far too many messages.", "Reconnect with backoff and send less."),
    CloseCode(4104, "internal_error", "Tidewire made a mistake; it has been logged.", "Reconnect with backoff."),
    CloseCode(4105, "auth_timeout", "No authentication within the time allowed.", "Authenticate at once."),
    CloseCode(4200, "token_expired", "The token is expired, used up or unknown.", "Fetch a new token, then reconnect."),
    CloseCode(4202, "permissions_changed", "Your permissions have changed.", "Fetch a new token, then reconnect."),
    CloseCode(4500, "unauthorized", "Nobody is logged in with what you sent.", "Log in."),
    CloseCode(4501, "bad_request", "This is not the protocol.", "Mend the client."),
    CloseCode(4503, "force_disconnect", "An administrator closed this connection.", "Ask the administrator."),
    CloseCode(4504, "connection_limit", "You have too many connections open.", "Close other tabs or clients."),
    CloseCode(4506, "unsupported_protocol", "None of the offered subprotocols is spoken here.", "Update the client."),
    CloseCode(4507, "permission_denied", "This is not open to you.", "Ask an administrator for the permission."),
    CloseCode(4509, "too_many_errors", "Too many wrong messages in a row.", "Mend the client."),
    CloseCode(4511, "account_disabled", "The account has been disabled.", "Ask an administrator."),
    CloseCode(4512, "logged_out", "The session has been logged out.", "Log in again."),
)

CLOSE_CODES: dict[int, CloseCode] = {entry.code: entry for entry in _TABLE}
BY_NAME: dict[str, CloseCode] = {entry.name: entry for entry in _TABLE}

# RFC 6455 section 7.4.1 and the IANA registry: codes that mean "my fault, or a restart", worth another attempt.
_RETRY_STANDARD = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015})


def reconnect_after(code: int) -> Reconnect:
    """Return what a client does after ``code``, known or not."""
    if 4000 <= code <= 4099:
        return Reconnect.AT_ONCE
    if 4100 <= code <= 4199:
        return Reconnect.BACKOFF
    if 4200 <= code <= 4299:
        return Reconnect.NEW_TOKEN
    if code in _RETRY_STANDARD:
        return Reconnect.BACKOFF
    # 4300-4499 are not in the contract; an unknown code without a promise must not cause a storm.
    if 4300 <= code <= 4499:
        return Reconnect.BACKOFF
    return Reconnect.NEVER
