"""Requests on their way: waiting to be sent, sent and unanswered; and how fast may be sent. Pure.

It must not know rooms or sockets. Overflow policy of the queue: ``refuse_newest`` - a request that finds the queue full
fails at once with ``queue_full``; nothing that was accepted is ever dropped silently. A request that was sent and not
answered fails with ``outcome_unknown`` and is never sent again: the protocol cannot tell a second time from the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from tidewire.client.event import Failure, Json, Settle
from tidewire.client.frame import too_deep, write
from tidewire.core.protocol import Limits

# As the server's own bound of what one connection may have under way.
MAX_IN_FLIGHT = 16
# The server answers from memory or with one database write; past this it will not.
ANSWER_TIMEOUT_MS = 30_000
# What a message grows by when it gets its id.
ID_BYTES = 40


class LedgerStatistics(msgspec.Struct, frozen=True):
    """What waits now, and what was refused since the start."""

    queued: int
    in_flight: int
    refused: int


class Pacer:
    """A token bucket a little below the server's limits, so that a reconnect with many rooms is not refused."""

    def __init__(self) -> None:
        self._rate_per_ms = 0.045
        self._burst = 90.0
        self._tokens = self._burst
        self._at_ms = 0

    def begin(self, limits: Limits | None, now_ms: int) -> None:
        """A connection is up; its bucket is full on the server, too."""
        if limits is not None:
            self._rate_per_ms = limits.messages_per_second * 0.9 / 1000
            self._burst = max(1.0, math.floor(limits.burst * 0.9))
        self._tokens = self._burst
        self._at_ms = now_ms

    def take(self, now_ms: int, *, force: bool = False) -> bool:
        """Use one message; False if it must wait. ``force`` is for the few that cannot: a ping, a refresh."""
        self._tokens = min(self._burst, self._tokens + (now_ms - self._at_ms) * self._rate_per_ms)
        self._at_ms = now_ms
        if self._tokens < 1 and not force:
            return False
        self._tokens -= 1
        return True

    def due_ms(self) -> int:
        """Return when the next message may go."""
        return self._at_ms + max(1, math.ceil((1 - self._tokens) / self._rate_per_ms))


@dataclass(frozen=True, slots=True)
class _Sent:
    op: int
    at_ms: int


class Ledger:
    """See the module's text.

    Args:
        max_queue: How many requests may wait to be sent.
    """

    def __init__(self, max_queue: int) -> None:
        self._max_queue = max_queue
        self._queue: dict[int, Mapping[str, Json]] = {}
        self._sent: dict[int, _Sent] = {}
        self._refused = 0
        self.message_bytes = 65_536

    def offer(self, op: int, message: Mapping[str, Json]) -> Settle | None:
        """Take a request, or say at once why not."""
        code = self._fault(message)
        if code is not None:
            self._refused += 1
            return Settle(op, error=Failure(code))
        self._queue[op] = message
        return None

    def cancel(self, op: int) -> bool:
        """Forget a request; False if it was sent already."""
        if self._queue.pop(op, None) is not None:
            return True
        for message_id, sent in list(self._sent.items()):
            if sent.op == op:
                del self._sent[message_id]
        return False

    @property
    def waiting(self) -> bool:
        """Whether a request could be sent now."""
        return bool(self._queue) and len(self._sent) < MAX_IN_FLIGHT

    def next(self, message_id: int, now_ms: int) -> Mapping[str, Json]:
        """Return the oldest waiting request and count it as sent. Call it only if ``waiting``."""
        op, message = next(iter(self._queue.items()))
        del self._queue[op]
        self._sent[message_id] = _Sent(op, now_ms)
        return message

    def answer(self, message_id: int, data: Json, error: Failure | None) -> Settle | None:
        """Settle the request that a reply belongs to; None if it is none of ours, or was cancelled."""
        sent = self._sent.pop(message_id, None)
        return None if sent is None else Settle(sent.op, data, error)

    def expire(self, now_ms: int) -> Iterator[Settle]:
        """Give up on requests that were not answered in time."""
        for message_id, sent in list(self._sent.items()):
            if now_ms - sent.at_ms < ANSWER_TIMEOUT_MS:
                break
            del self._sent[message_id]
            yield Settle(sent.op, error=Failure("outcome_unknown"))

    def due_ms(self) -> int | None:
        """Return when ``expire`` has something to do."""
        oldest = next(iter(self._sent.values()), None)
        return None if oldest is None else oldest.at_ms + ANSWER_TIMEOUT_MS

    def lost(self) -> Iterator[Settle]:
        """The connection is gone: what was sent is in doubt; what was not stays."""
        sent, self._sent = self._sent, {}
        for entry in sent.values():
            yield Settle(entry.op, error=Failure("outcome_unknown"))

    def end(self, failure: Failure) -> Iterator[Settle]:
        """Nothing will be sent any more."""
        yield from self.lost()
        queue, self._queue = self._queue, {}
        for op in queue:
            yield Settle(op, error=failure)

    def statistics(self) -> LedgerStatistics:
        """Return counters."""
        return LedgerStatistics(len(self._queue), len(self._sent), self._refused)

    def _fault(self, message: Mapping[str, Json]) -> str | None:
        if len(self._queue) >= self._max_queue:
            return "queue_full"
        if too_deep(dict(message)):
            return "bad_request"
        try:
            size = len(write(message))
        except (TypeError, ValueError):
            return "bad_request"
        return "too_large" if size + ID_BYTES > self.message_bytes else None
