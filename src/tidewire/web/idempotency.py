"""Remembers answers by the caller's Idempotency-Key, so that a request sent twice is done once. Pure.

It must not know what was done. Per process: behind several nodes a repetition must reach the same one. Overflow policy:
the oldest answer is forgotten.
Source: IETF draft-ietf-httpapi-idempotency-key-header-07, sections 2.6 and 2.7.
"""

from __future__ import annotations

from tidewire.core.errors import Conflict

LIFE_S = 600.0
ANSWERS_MAX = 10_000
KEY_MAX_CHARS = 255


class Idempotency:
    """See the module's text."""

    def __init__(self, *, answers_max: int = ANSWERS_MAX, life_s: float = LIFE_S) -> None:
        self._max = answers_max
        self._life_s = life_s
        # (caller, key) -> (digest of the request, answer, when); oldest first.
        self._answers: dict[tuple[str, str], tuple[bytes, bytes, float]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, caller: str, key: str, digest: bytes, now: float) -> bytes | None:
        """Return the answer to the same request, None if it has not been seen. ``now``: monotonic seconds.

        Raises:
            Conflict: The key was used for another request.
        """
        while self._answers:
            oldest = next(iter(self._answers))
            if now - self._answers[oldest][2] < self._life_s:
                break
            del self._answers[oldest]
        found = self._answers.get((caller, key))
        if found is None:
            return None
        if found[0] != digest:
            raise Conflict(
                "This Idempotency-Key was used for another request.",
                required_action="Use a new key for each request, and the same key only to repeat one.",
                will_not="Tidewire will not guess which of the two was meant; this one was not done.",
                code="idempotency_key_reused",
            )
        return found[1]

    def remember(self, caller: str, key: str, digest: bytes, answer: bytes, now: float) -> None:
        """Keep an answer."""
        while len(self._answers) >= self._max:
            del self._answers[next(iter(self._answers))]
        self._answers[(caller, key)] = (digest, answer, now)
