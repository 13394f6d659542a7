"""Which rows of the activity log are new, each once. Pure: time is an argument; it must not know SQL or sockets.

Numbers are given before a transaction ends: a row may come to sight after one with a higher number. Therefore numbers
are looked at from a floor on, below which no transaction can still be under way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# No transaction lives longer: the longest deadline is that of the command line, 60 s.
SETTLE_S = 75.0
# How many numbers below the newest may still be missing when somebody begins to look.
LOOK_BACK = 500


class Followed:
    """See the module's text. ``floor``: rows with higher numbers are to be looked at."""

    def __init__(self) -> None:
        self.floor = 0
        self._seen: dict[int, float] = {}

    def begin(self, ids: Iterable[int], floor: int, now: float) -> None:
        """Know these rows above ``floor`` and everything below it; nothing of that is new."""
        self.floor = floor
        self._seen = dict.fromkeys(ids, now)

    def take(self, ids: Iterable[int], now: float) -> list[int]:
        """Return which of the rows above the floor are new, ascending; they stay new until they are ``told``."""
        fresh = sorted(row_id for row_id in ids if row_id > self.floor and row_id not in self._seen)
        # A row that waits to be told keeps the floor below it, however long ago higher ones were.
        limit = fresh[0] if fresh else math.inf
        settled = [row_id for row_id, at in self._seen.items() if row_id < limit and now - at > SETTLE_S]
        if settled:
            self.floor = max(self.floor, *settled)
            self._seen = {row_id: at for row_id, at in self._seen.items() if row_id > self.floor}
        return fresh

    def told(self, ids: Iterable[int], now: float) -> None:
        """These rows are new no longer."""
        self._seen.update(dict.fromkeys(ids, now))
