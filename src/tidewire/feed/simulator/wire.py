"""The Massive protocol's words: statuses, topics, client messages. Pure; it must not know who says them when.

Source: feed-protocol.md 1.2 and 1.3. Texts marked UNVERIFIED were never seen from the real service.
"""

from __future__ import annotations

import msgspec

from tidewire.core.unreadable import UNREADABLE

CHANNELS = ("T", "Q", "A", "AM")
# Channels of the stocks market that exist, but for which this simulator has no data: acknowledged, then silent.
DATALESS_CHANNELS = ("LULD", "NOI", "FMV")

CONNECTED = ("connected", "Connected Successfully")
AUTHENTICATED = ("auth_success", "authenticated")
AUTH_FAILED = ("auth_failed", "authentication failed")
NO_PLAN = (
    "auth_failed",
    "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade.",
)
NOT_AUTHORIZED = ("error", "not authorized")
AUTH_TIMEOUT = ("auth_timeout", "No authentication request received.")
MAX_CONNECTIONS = (
    "max_connections",
    "Maximum number of websocket connections exceeded. You have reached the connection limit for your account. "
    "Please contact support at https://polygon.io/contact to increase your limit.",
)
# UNVERIFIED, all below.
SLOW_CONSUMER = ("slow_consumer", "Slow consumer: the connection's buffer is full.")
FORCE_DISCONNECT = ("force_disconnect", "Disconnected by the server.")
AUTH_REQUIRED = ("error", "authentication required")
BAD_MESSAGE = ("error", "invalid message: expected a JSON object with the strings action and params")
UNKNOWN_ACTION = ("error", "unknown action")
TOO_MANY_TOPICS = ("error", "too many subscriptions")


class ClientMessage(msgspec.Struct, frozen=True):
    """What a client sends: ``{"action": "auth" | "subscribe" | "unsubscribe", "params": text}``."""

    action: str
    params: str


class Status(msgspec.Struct, frozen=True):
    """One status event."""

    ev: str
    status: str
    message: str


_decode = msgspec.json.Decoder(ClientMessage)
_encode = msgspec.json.Encoder()


def parse_client_message(data: bytes) -> ClientMessage | None:
    """Return the message, or None if it is not one."""
    try:
        return _decode.decode(data)
    except UNREADABLE:
        return None


def status_frame(*statuses: tuple[str, str]) -> bytes:
    """Return one frame with the given (status, message) pairs; every frame is a JSON array."""
    return _encode.encode([Status("status", status, message) for status, message in statuses])


def event_frame(events: list[bytes]) -> bytes:
    """Return one frame of events that are encoded already."""
    return b"[" + b",".join(events) + b"]"


def split_topics(params: str) -> list[tuple[str, str]]:
    """Return the (channel, ticker) pairs of a subscribe or unsubscribe; the split is at the FIRST dot (``T.BRK.B``)."""
    pairs = []
    for item in params.split(","):
        channel, dot, ticker = item.strip().partition(".")
        if dot and channel and ticker:
            pairs.append((channel, ticker))
    return pairs
