"""How many messages a second go through rooms, measured only while somebody looks. Pure.

Two samples of all counters are kept, some seconds apart; a rate is what has come since the older one. Nothing is kept
once nobody asks, and nothing is done where messages pass. It must not know what a room is.
"""

from __future__ import annotations

from collections.abc import Iterable

# A rate over less than this is noise; a sample is as old as this before the next takes its place.
SAMPLE_EVERY_S = 5.0
# After this long without a question the samples say nothing of now.
FORGET_AFTER_S = 30.0

Sample = tuple[float, dict[str, int]]


class RoomRates:
    """See the module's text."""

    def __init__(self) -> None:
        self._older: Sample | None = None
        self._newer: Sample | None = None

    def observe(self, now: float, counts: Iterable[tuple[str, int]]) -> None:
        """Take note of all counters, if the last time is long enough ago. ``now``: monotonic seconds."""
        if self._newer is not None and now - self._newer[0] >= FORGET_AFTER_S:
            self._older = self._newer = None
        if self._newer is None or now - self._newer[0] >= SAMPLE_EVERY_S:
            self._older, self._newer = self._newer, (now, dict(counts))

    def rate(self, room_id: str, count: int, now: float) -> float | None:
        """Return messages per second over the last 1 to 10 s; None until there is something to compare with."""
        sample = self._older or self._newer
        if sample is None or now - sample[0] < 1.0:
            return None
        # A room that is new, or was forgotten and made anew, has begun to count since.
        before = sample[1].get(room_id, 0)
        return (count - before if count >= before else count) / (now - sample[0])
