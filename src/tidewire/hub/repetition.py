"""Remembers what was published under which ``op_id``, so that a message sent twice is published once. Pure.

For rooms of this process alone; what several nodes share, the room log remembers. It must not know rooms or messages.
Overflow policy: the oldest answer is forgotten, which is five minutes old unless thousands of others came since.
Source: docs/protocol.md, ``publish``.
"""

from __future__ import annotations

LIFE_S = 300.0
# About 10 MB: five minutes of 166 messages a second. A client that lost its connection is back within seconds.
ANSWERS_MAX = 50_000


class Repetitions:
    """See the module's text.

    Args:
        answers_max: How many are remembered.
        life_s: For how long.
    """

    def __init__(self, *, answers_max: int = ANSWERS_MAX, life_s: float = LIFE_S) -> None:
        self._max = answers_max
        self._life_s = life_s
        # (room, whose operation) -> (answer, when); oldest first.
        self._answers: dict[tuple[str, str], tuple[bytes, float]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, room_id: str, op_key: str, now: float) -> bytes | None:
        """Return what the same message was answered; None if it is a new one. ``now``: monotonic seconds."""
        while self._answers:
            oldest = next(iter(self._answers))
            if now - self._answers[oldest][1] < self._life_s:
                break
            del self._answers[oldest]
        found = self._answers.get((room_id, op_key))
        return None if found is None else found[0]

    def remember(self, room_id: str, op_key: str, answer: bytes, now: float) -> None:
        """Keep an answer."""
        while len(self._answers) >= self._max:
            del self._answers[next(iter(self._answers))]
        self._answers[room_id, op_key] = (answer, now)
