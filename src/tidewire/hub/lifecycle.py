"""What a connection goes through, and what falls due when. Pure: time is an argument.

::

    CHECKING --known--> OPEN            credentials came with the handshake and were good
    CHECKING --nobody--> WAITING        none came; ``authenticate`` must be the first message
    WAITING  --known--> OPEN
    CHECKING, WAITING, OPEN --close--> CLOSING      a close frame has been sent
    any --lost--> CLOSED

It must not know sockets or messages; it answers what is due, the session does it.
Source: contract.md section 5 (authentication within 10 s, heartbeat every 25 s, 10 s without any sign of life).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

AUTHENTICATION_S = 10.0
HEARTBEAT_S = 25.0
PONG_S = 10.0
# A client that has not let its buffer drain once in this time is stopped, not slow (reliability.md bar R4: 10 s).
STALL_S = 6.0
WARN_EXPIRY_S = 60.0
# The peer gets this long to answer a close frame before the TCP connection is cut.
CLOSE_S = 2.0


class State(enum.Enum):
    """Where a connection stands."""

    CHECKING = "checking"
    WAITING = "waiting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


_LEGAL: dict[State, frozenset[State]] = {
    State.CHECKING: frozenset({State.OPEN, State.WAITING, State.CLOSING, State.CLOSED}),
    State.WAITING: frozenset({State.OPEN, State.CLOSING, State.CLOSED}),
    State.OPEN: frozenset({State.CLOSING, State.CLOSED}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
# Asked for several times a connect and message; a member of an enumeration is found through its class's metaclass.
_OPEN, _CLOSING, _CLOSED = State.OPEN, State.CLOSING, State.CLOSED


class Due(enum.Enum):
    """What must be done now."""

    CLOSE_AUTH_TIMEOUT = 4105
    CLOSE_NO_PONG = 4004
    CLOSE_SLOW = 4003
    CLOSE_EXPIRED = 4200
    HEARTBEAT = 1
    WARN_EXPIRY = 2
    ABORT = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """The periods of one hub, seconds; tests and operators may change them."""

    authentication_s: float = AUTHENTICATION_S
    heartbeat_s: float = HEARTBEAT_S
    pong_s: float = PONG_S
    stall_s: float = STALL_S
    warn_expiry_s: float = WARN_EXPIRY_S
    close_s: float = CLOSE_S


class Lifecycle:
    """One connection's state and deadlines. ``now`` is monotonic seconds, ``wall`` Unix seconds, everywhere."""

    __slots__ = (
        "_asked_at",
        "_began_at",
        "_expires_at",
        "_next_heartbeat",
        "_slow_since",
        "_timing",
        "_warned",
        "last_seen",
        "state",
    )

    def __init__(self, now: float, timing: Timing) -> None:
        self.state = State.CHECKING
        self.last_seen = now
        self._timing = timing
        self._began_at = now
        self._next_heartbeat = now + timing.heartbeat_s
        self._asked_at: float | None = None
        self._slow_since: float | None = None
        self._expires_at: float | None = None
        self._warned = False

    @property
    def open(self) -> bool:
        """Whether messages go both ways."""
        return self.state is _OPEN

    @property
    def ended(self) -> bool:
        """Whether nothing may be sent any more."""
        state = self.state
        return state is _CLOSING or state is _CLOSED

    @property
    def is_slow(self) -> bool:
        """Whether the transport's buffer is over its mark."""
        return self._slow_since is not None

    @property
    def expires_at(self) -> float | None:
        """When the session or token ends, Unix seconds."""
        return self._expires_at

    def move(self, state: State, now: float) -> bool:
        """Go to ``state``; False (and no change) if that is not a legal step."""
        if state not in _LEGAL[self.state]:
            return False
        self.state = state
        if state is State.CLOSING:
            self._began_at = now
        return True

    def extend(self, expires_at: float | None) -> None:
        """Set when the session ends, and warn again before."""
        self._expires_at = expires_at
        self._warned = False

    def receive(self, now: float) -> None:
        """Note a sign of life."""
        self.last_seen = now
        self._asked_at = None

    def slow(self, now: float) -> None:
        """Note that the transport's buffer is over its mark."""
        if self._slow_since is None:
            self._slow_since = now

    def quick(self) -> None:
        """Note that the transport's buffer has drained."""
        self._slow_since = None

    def tick(self, now: float, wall: float) -> list[Due]:
        """Return what is due, and consider it done."""
        timing = self._timing
        if self.state is _CLOSED:
            return []
        if self.state is _CLOSING:
            return [Due.ABORT] if now - self._began_at >= timing.close_s else []
        if self._slow_since is not None and now - self._slow_since >= timing.stall_s:
            return [Due.CLOSE_SLOW]
        if self.state is not _OPEN:
            return [Due.CLOSE_AUTH_TIMEOUT] if now - self._began_at >= timing.authentication_s else []
        if self._expires_at is not None and wall >= self._expires_at:
            return [Due.CLOSE_EXPIRED]
        if self._asked_at is not None and now - self._asked_at >= timing.pong_s:
            return [Due.CLOSE_NO_PONG]
        due: list[Due] = []
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + timing.heartbeat_s
            if self._asked_at is None:
                self._asked_at = now
            due.append(Due.HEARTBEAT)
        if self._expires_at is not None and not self._warned and wall >= self._expires_at - timing.warn_expiry_s:
            self._warned = True
            due.append(Due.WARN_EXPIRY)
        return due

    def next_due(self, now: float, wall: float) -> float:
        """Return the monotonic time at which ``tick`` may have something to say, unless something happens before."""
        timing = self._timing
        if self.state is _CLOSED:
            return float("inf")
        if self.state is _CLOSING:
            return self._began_at + timing.close_s
        due = self._next_heartbeat if self.state is _OPEN else self._began_at + timing.authentication_s
        if self._slow_since is not None:
            due = min(due, self._slow_since + timing.stall_s)
        if self._asked_at is not None:
            due = min(due, self._asked_at + timing.pong_s)
        if self._expires_at is not None:
            lead = 0.0 if self._warned else timing.warn_expiry_s
            left = self._expires_at - lead - wall
            if now + left < due:
                due = now + max(0.0, left)
        return due
