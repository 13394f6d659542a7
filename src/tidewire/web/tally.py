"""Counts events that a stranger can cause by the thousand, and says so in one log line per period, with their number.

The first line comes soon after the first event, so that a burst is one line with its count and not a line per socket.
It must not know what is counted.
Source: reliability.md bars R6, R7 ("log with count", "log within 1 s").
"""

from __future__ import annotations

import asyncio

import structlog

_log = structlog.get_logger(__name__)

# Between the first event and the line about it: long enough for a burst to be one line.
SETTLE_S = 0.5
EVERY_S = 10.0


class Tally:
    """One kind of event.

    Args:
        event: Name of the log line.
        required_action, will_not: Its sentences.

    Attributes:
        total: Events since start.
    """

    def __init__(
        self,
        event: str,
        *,
        required_action: str,
        will_not: str,
        settle_s: float = SETTLE_S,
        every_s: float = EVERY_S,
    ) -> None:
        self.total = 0
        self._event = event
        self._sentences = {"required_action": required_action, "will_not": will_not}
        self._settle_s = settle_s
        self._every_s = every_s
        self._unsaid = 0
        self._facts: dict[str, object] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._said_at = float("-inf")

    def add(self, **facts: object) -> None:
        """Count one event; the facts of the newest are logged. Call it on the loop."""
        self.total += 1
        self._unsaid += 1
        self._facts = facts
        if self._timer is None:
            loop = asyncio.get_running_loop()
            when = max(loop.time() + self._settle_s, self._said_at + self._every_s)
            self._timer = loop.call_at(when, self._say, loop)

    def _say(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._said_at = loop.time()
        count, self._unsaid = self._unsaid, 0
        _log.warning(self._event, count=count, total=self.total, **self._facts, **self._sentences)
