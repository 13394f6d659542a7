"""How a background loop is, for whoever shows it. Pure; it must not know loops."""

from __future__ import annotations

import msgspec


class LoopReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one background loop of this process is.

    Attributes:
        running: Whether its task is alive.
        last_run_age: Seconds since its last completed round; None before the first.
        runs, failures: Rounds since the start, and how many of them failed.
        last_error: What the latest failure was.
    """

    running: bool
    interval: float
    last_run_age: float | None
    runs: int
    failures: int
    last_error: str | None

    @property
    def is_late(self) -> bool:
        """Whether the loop has missed so many rounds that something must be wrong."""
        # Ten rounds and two seconds: a busy machine delays a 100 ms loop by more than one round.
        return not self.running or (self.last_run_age or 0.0) > 10 * self.interval + 2.0
