"""When a line's tickers move to others, and when they come home. Pure; time is an argument.

It must not know sockets or subscriptions: it changes the assignment and says which lines are concerned.
A ticker that goes home is subscribed there first and dropped by its stand-in a little later; both may deliver it
meanwhile, and the intake drops what comes twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidewire.feed.assignment import Assignment
from tidewire.feed.line_state import is_connected, status_of
from tidewire.feed.source import FeedLine, LineTiming

# In the hands of people; nothing moves on its own.
_PARKED: Final = frozenset({"paused", "disabled"})


class Failover:
    """Moves tickers between lines.

    Args:
        assignment: Changed in place.
        timing: ``failover_s``, ``failback_s``, ``overlap_s``.
    """

    def __init__(self, assignment: Assignment, timing: LineTiming) -> None:
        self._assignment = assignment
        self._timing = timing
        self._down_since: dict[str, float] = {}
        self._up_since: dict[str, float] = {}
        # A line on its very first attempt is late, not down: its tickers wait for it to succeed or fail.
        self._ever_up: set[str] = set()
        # Stand-in line: tickers it still delivers, each with the time when it stops.
        self._leaving: dict[str, dict[str, float]] = {}

    def balance(self, now: float, lines: Mapping[str, FeedLine], rates: Mapping[str, float]) -> set[str]:
        """Look at the lines at ``now`` (monotonic seconds) and move what should move; return the lines concerned."""
        concerned = self._finish_leaving(now)
        up = [name for name, line in lines.items() if is_connected(line.state)]
        for name, line in lines.items():
            if name in up:
                self._ever_up.add(name)
                self._down_since.pop(name, None)
                since = self._up_since.setdefault(name, now)
                if now - since >= self._timing.failback_s:
                    concerned |= self._bring_home(name, now)
            elif line.state not in _PARKED and (name in self._ever_up or status_of(line.state) != "connecting"):
                self._up_since.pop(name, None)
                since = self._down_since.setdefault(name, now)
                if now - since >= self._timing.failover_s and up and self._assignment.tickers(name):
                    moved = self._assignment.evacuate(name, rates, up)
                    concerned |= {name, *moved.values()}
        return concerned

    def leaving(self, line: str) -> set[str]:
        """Return the tickers that ``line`` still delivers although they went home."""
        return set(self._leaving.get(line, ()))

    def moved(self, now: float, ticker: str, old: str, new: str) -> None:
        """Somebody has moved ``ticker``: the old line goes on delivering it for the overlap."""
        self._leaving.get(new, {}).pop(ticker, None)
        self._leaving.setdefault(old, {})[ticker] = now + self._timing.overlap_s

    def reset(self) -> set[str]:
        """All lines were stopped: bring everything home at once; return the lines concerned."""
        concerned = set(self._leaving)
        self._leaving.clear()
        self._down_since.clear()
        self._up_since.clear()
        self._ever_up.clear()
        for home in self._assignment.lines:
            returned = self._assignment.repatriate(home)
            if returned:
                concerned |= {home, *returned.values()}
        return concerned

    def _bring_home(self, home: str, now: float) -> set[str]:
        returned = self._assignment.repatriate(home)
        for ticker, stand_in in returned.items():
            self._leaving.setdefault(stand_in, {})[ticker] = now + self._timing.overlap_s
        return {home, *returned.values()} if returned else set()

    def _finish_leaving(self, now: float) -> set[str]:
        concerned: set[str] = set()
        for line in list(self._leaving):
            stay = {ticker: until for ticker, until in self._leaving[line].items() if until > now}
            if len(stay) != len(self._leaving[line]):
                concerned.add(line)
            if stay:
                self._leaving[line] = stay
            else:
                del self._leaving[line]
        return concerned
