"""Whether the database answers: unknown, up, degraded, down; since when and why. Pure: time is an argument.

It must not know how that was found out. ``down`` refuses every use at once instead of letting each wait for its
deadline (an open circuit); ``degraded`` answers some: it is read-only, or takes no more connections.
"""

from __future__ import annotations

from typing import Literal

from tidewire.core.errors import StoreError

State = Literal["unknown", "up", "degraded", "down"]

# Errors after which a part of the uses still works.
_PARTLY = frozenset({"storage_read_only", "storage_overloaded", "storage_full", "storage_busy"})


class Health:
    """State machine of one database.

    ::

        any --answered--> up
        any --failed (read-only, overloaded, full)--> degraded
        any --failed (anything else; a timeout only the second time in a row)--> down
    """

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.since = 0.0
        self.error: StoreError | None = None
        self.changes = 0
        self._late = False

    def answered(self, wall: float) -> bool:
        """Note that it answers and takes writes. Return whether the state changed."""
        self._late = False
        return self._become("up", wall, None)

    def failed(self, wall: float, error: StoreError) -> bool:
        """Note a probe that failed. Return whether the state changed."""
        late, self._late = self._late, error.code == "storage_timeout"
        if self._late and not late:
            # One late answer may be this process's own stall.
            return False
        return self._become("degraded" if error.code in _PARTLY else "down", wall, error)

    def refusal(self) -> StoreError | None:
        """Return the error that every use gets now; None unless the state is ``down``."""
        if self.state != "down" or self.error is None:
            return None
        known = self.error
        return StoreError(
            known.message, required_action=known.required_action, will_not=known.will_not, code=known.code
        )

    def _become(self, state: State, wall: float, error: StoreError | None) -> bool:
        before, known = self.state, self.error
        self.error = error
        if state == before and (known and known.code) == (error and error.code):
            return False
        if state != before:
            self.since = wall
        self.state = state
        self.changes += 1
        return True
