"""Tells the operator's log what a line's venue sends wrong: one line per kind and ten seconds, with the count.

It must not know the samples: they are on the page, and the log holds no payload.
Source: reliability.md section 4, "Upstream market data".
"""

from __future__ import annotations

import structlog

from tidewire.core.throttle import Throttle

_log = structlog.get_logger(__name__)


class Trouble:
    """What one line has told so far.

    Args:
        line: The line's id.
    """

    def __init__(self, line: str) -> None:
        self._line = line
        self._bad = Throttle()
        self._complaints = Throttle()

    def bad_events(self, now: float, count: int) -> None:
        """``count`` events or frames could not be understood; ``now`` is monotonic seconds."""
        told = self._bad.admit(now, count)
        if told:
            _log.warning(
                "feed_bad_events",
                line=self._line,
                count=told,
                required_action="Report it to the venue; the page shows a sample.",
                will_not="Tidewire will not guess what they meant; the other events go on.",
            )

    def complaint(self, now: float, text: str) -> None:
        """The venue refused something; ``text`` says what, without secrets."""
        told = self._complaints.admit(now)
        if told:
            _log.warning(
                "feed_venue_refused",
                line=self._line,
                count=told,
                what_happened=text,
                required_action="Check the plan and the tickers of this line.",
                will_not="Tidewire will not ask for these topics again until the line connects anew.",
            )
