"""Answers to publishes by their ``op_id``, so that one that is sent again is done once. Pure.

For rooms of this process alone; rooms that nodes share have this in their log. It must not know rooms or sessions.
Overflow policy: the oldest answer is forgotten.
"""

from __future__ import annotations

# As the log of shared rooms; a client sends nothing again after four minutes.
LIFE_S = 300.0
# About 15 MB; at 150 such publishes a second the five minutes are whole.
ANSWERS_MAX = 50_000


class Repeats:
    """See the module's text."""

    def __init__(self, *, answers_max: int = ANSWERS_MAX, life_s: float = LIFE_S) -> None:
        self._max = answers_max
        self._life_s = life_s
        # Name -> (answer, when); oldest first.
        self._answers: dict[tuple[str, str], tuple[bytes, float]] = {}
        self.repeated = 0

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, room_id: str, name: str, now: float) -> bytes | None:
        """Return the answer to the publish of that name, None if it has not been seen. ``now``: monotonic seconds."""
        while self._answers:
            oldest = next(iter(self._answers))
            if now - self._answers[oldest][1] < self._life_s:
                break
            del self._answers[oldest]
        found = self._answers.get((room_id, name))
        if found is None:
            return None
        self.repeated += 1
        return found[0]

    def remember(self, room_id: str, name: str, answer: bytes, now: float) -> None:
        """Keep an answer."""
        while len(self._answers) >= self._max:
            del self._answers[next(iter(self._answers))]
        self._answers[(room_id, name)] = (answer, now)
