"""The states of a client's connection, and the numbers that its life is ruled by. Pure data."""

from __future__ import annotations

import enum

# From the first byte to "connected": DNS, TLS, the handshake and the server's look into its database.
CONNECT_TIMEOUT_MS = 20_000
# Our own codes in the range that applications may use (RFC 6455 section 7.4.2); the server only records them.
CLOSE_FAULT = 3000
CLOSE_SILENT = 3001
NO_CLOSE_FRAME = 1006
# Any frame is one; these bring nothing else.
SIGNS_OF_LIFE = frozenset({"heartbeat", "pong"})
STATE_INVALIDATED = 4006
TOKEN_EXPIRED = 4200


class State(enum.Enum):
    """IDLE -> (FETCHING ->) CONNECTING -> READY -> WAITING -> ...; ENDED from anywhere, for good."""

    IDLE = "idle"
    FETCHING = "fetching"
    CONNECTING = "connecting"
    READY = "ready"
    WAITING = "waiting"
    ENDED = "ended"
