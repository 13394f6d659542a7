"""Ask over the bus and wait for the one reply that carries the same id. It must not know what is asked.

Requests and replies are JSON objects with an ``id``; replies come back on a channel of the asker's own. Waiting is
bounded in time and in number; a reply that nobody waits for (too late, or forged) is counted and dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE

# A person asks a few times a second; 256 open questions mean that nobody answers.
MAX_PENDING = 256

log = structlog.get_logger(__name__)


class _Reply(msgspec.Struct):
    id: str


class Requester:
    """Asks and waits.

    Args:
        bus: Started before ``ask`` is called.
        reply_channel: Where replies are to be sent; nobody else listens there.
    """

    def __init__(self, bus: Bus, reply_channel: str, *, max_pending: int = MAX_PENDING) -> None:
        self.reply_channel = reply_channel
        self._bus = bus
        self._max_pending = max_pending
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._listening = Listening(bus, {reply_channel: self._receive})
        self._decoder = msgspec.json.Decoder(_Reply)
        self.asked = 0
        self.unanswered = 0
        self.unexpected = 0

    def start(self) -> None:
        """Listen for replies. Raises RuntimeError if it does already."""
        self._listening.start()

    def stop(self) -> None:
        """Stop listening; whoever waits gets BusError. Idempotent."""
        self._listening.stop()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(_no_reply("Tidewire is stopping."))
        self._pending.clear()

    async def ask(self, channel: str, request_id: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Publish ``payload`` on ``channel`` and return the reply whose id is ``request_id``.

        Raises:
            BusError: ``no_reply`` after ``timeout_s``, ``too_many_requests`` when too many wait, or the bus refused.
        """
        if not self._listening.on:
            raise RuntimeError("the requester does not listen")
        if len(self._pending) >= self._max_pending:
            raise BusError(
                f"{len(self._pending)} requests are waiting for an answer already.",
                required_action="Wait a moment, then try again; if it persists, look at the feed process.",
                will_not="Tidewire will not queue this request.",
                code="too_many_requests",
            )
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = waiting
        self.asked += 1
        try:
            self._bus.publish(channel, [payload])
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            self.unanswered += 1
            raise _no_reply(f"Nobody answered on {channel} within {timeout_s:g} s.") from None
        finally:
            self._pending.pop(request_id, None)

    def statistics(self) -> dict[str, int]:
        """Return counters and the number of open questions."""
        return {
            "asked": self.asked,
            "unanswered": self.unanswered,
            "unexpected": self.unexpected,
            "pending": len(self._pending),
        }

    def _receive(self, _channel: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            waiting = self._pending.get(self._id_of(payload))
            if waiting is None or waiting.done():
                self.unexpected += 1
            else:
                waiting.set_result(payload)

    def _id_of(self, payload: bytes) -> str:
        try:
            return self._decoder.decode(payload).id
        except UNREADABLE as exc:
            log.warning("reply_malformed", channel=self.reply_channel, error=str(exc), sample=repr(payload[:200]))
            return ""


def _no_reply(message: str) -> BusError:
    return BusError(
        message,
        required_action="Check that the feed process runs and reaches the same bus, then try again.",
        will_not="Tidewire will not repeat the request by itself; whether it was carried out is unknown.",
        code="no_reply",
    )
