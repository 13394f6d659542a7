"""The conversation on one connection: greeting, authentication, topics, and the words that end it.

It must not know retries, rates or ticks. A line makes a new one for each connection. Source: feed-protocol.md 1.2, 1.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from tidewire.core.clock import Clock
from tidewire.core.errors import UpstreamError
from tidewire.feed.line_socket import LineSocket, upstream_error
from tidewire.feed.massive import Status
from tidewire.feed.massive_request import encode_auth, encode_requests
from tidewire.feed.race import wait_first
from tidewire.feed.topic_ledger import TopicLedger

_MAX_MESSAGE: Final = 300

# Words after which the venue ends the connection; we do not wait for it. Status: (message, required action).
_FATAL: Final = {
    "auth_failed": (
        "The venue refused the key.",
        "Check MASSIVE_API_KEY and that the plan includes this feed; then restart, or wait for the next try.",
    ),
    "auth_timeout": (
        "The venue did not hear our authentication in time.",
        "Check the network between here and the venue.",
    ),
    "max_connections": (
        "The account has more connections than its plan allows.",
        "Enable fewer lines (WEBSOCKET_CONNECTION_n_ENABLED), or stop the other program that uses this key.",
    ),
    "slow_consumer": (
        "The venue says that this line reads too slowly.",
        "Give the machine more CPU, or spread the tickers over more lines.",
    ),
    "force_disconnect": (
        "The venue asked this line to disconnect.",
        "Look at the venue's dashboard; another login may have taken the place.",
    ),
}


class VenueSays(msgspec.Struct):
    """What the statuses of one frame meant: errors to count, and whether topics changed."""

    complaints: list[str] = []
    changed: bool = False


class Place(Protocol):
    """What the conversation needs of its line's surroundings."""

    @property
    def api_key(self) -> str:
        """The secret key."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...


class Conversation:
    """One connection's talk with the venue.

    Args:
        socket: The open or opening connection.
        ledger: The line's topics.
        place: Key and clock.

    Attributes:
        greeted, authenticated: Done when the venue said so.
    """

    def __init__(self, socket: LineSocket, ledger: TopicLedger, place: Place) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.authenticated: asyncio.Future[None] = loop.create_future()
        self._socket = socket
        self._ledger = ledger
        self._place = place

    async def wait_for(self, step: asyncio.Future[None], stage: str, timeout_s: float) -> None:
        """Wait for a step of the handshake.

        Raises:
            UpstreamError: The connection ended first, or nothing came in time (code ``<stage>_timeout``).
        """
        ended = self._socket.ended
        if not step.done() and not ended.done():
            await wait_first(self._place.clock, timeout_s, step, ended)
        if ended.done():
            raise at_stage(ended.result(), stage)
        if not step.done():
            raise self.timeout(stage, timeout_s)

    def timeout(self, stage: str, timeout_s: float) -> UpstreamError:
        """Return the error for a stage that took too long."""
        text = {"connect": "complete the connection", "greeting": "greet", "auth": "answer the authentication"}[stage]
        return upstream_error(f"{stage}_timeout", f"The venue did not {text} within {timeout_s:g} s.", stage)

    def authenticate(self) -> None:
        """Send the key."""
        self._socket.send(encode_auth(self._place.api_key))

    def request_topics(self, now: float) -> None:
        """Ask for what is wanted and not yet asked for, and drop what is no longer wanted, once authenticated."""
        if not self.authenticated.done():
            return
        add, drop = self._ledger.take_changes(now)
        for request in encode_requests("unsubscribe", drop):
            self._socket.send(request)
        for request in encode_requests("subscribe", add):
            self._socket.send(request)

    def hear(self, statuses: Sequence[Status]) -> VenueSays:
        """Apply the statuses of one frame, in order."""
        says = VenueSays()
        for status in statuses:
            self._hear_one(status, says)
        return says

    def _hear_one(self, status: Status, says: VenueSays) -> None:
        word, message = status.status, status.message[:_MAX_MESSAGE].strip()
        if word == "connected":
            _done(self.greeted)
        elif word == "auth_success" or (word == "success" and message == "authenticated"):
            # Some servers skip the greeting's word; being authenticated implies it.
            _done(self.greeted)
            _done(self.authenticated)
        elif word == "success" and self._ledger.acknowledge(message):
            says.changed = True
        elif word in _FATAL or (word == "error" and message == "authentication failed"):
            cause = word if word in _FATAL else "auth_failed"
            text, action = _FATAL[cause]
            said = f" It said: {message}" if message else ""
            stage = "stream" if self.authenticated.done() else "auth"
            self._socket.end(upstream_error(cause, text + said, stage, action))
        elif word == "error" and "not authorized" in message.lower():
            self._ledger.refuse(message)
            says.complaints.append(f"The venue refused a topic: {message}. Required: a plan that includes it.")
            says.changed = True
        elif word != "success":
            says.complaints.append(f"The venue said {word[:40]!r}: {message}")
            says.changed = True


def at_stage(error: UpstreamError, stage: str) -> UpstreamError:
    """Return ``error`` with the stage in which it struck."""
    return UpstreamError(
        error.message, stage=stage, required_action=error.required_action, will_not=error.will_not, code=error.code
    )


def _done(step: asyncio.Future[None]) -> None:
    if not step.done():
        step.set_result(None)
