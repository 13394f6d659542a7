"""When the US equity market trades: 4:00 to 20:00 New York time, Monday to Friday. Pure.

**What it does not know: holidays and early closes.** On a market holiday it says "in session"; a line that is then
silent is shown as stale, and a formerly busy one reconnects now and then. That is wrong but harmless, and stated here
rather than guessed from a list that would go out of date. Source: feed-protocol.md 1.6 (session hours).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
OPEN_HOUR: Final = 4
CLOSE_HOUR: Final = 20
SATURDAY: Final = 5


def in_session(now: float) -> bool:
    """Tell whether pre-market, regular or after-hours trading is on at ``now`` (Unix seconds), holidays unknown."""
    local = _local(now)
    return local.weekday() < SATURDAY and OPEN_HOUR <= local.hour < CLOSE_HOUR


def session_date(now: float) -> date:
    """Return the New York calendar date of ``now`` (Unix seconds); sequence numbers start anew with each."""
    return _local(now).date()


def _local(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).astimezone(NEW_YORK)
