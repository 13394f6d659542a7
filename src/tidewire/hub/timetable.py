"""Which connection is to be asked when: a heap that forgives stale entries. Pure.

An entry that comes too early costs one useless question; none comes too late, because whoever shortens a deadline
adds an entry. It must not know what is asked. Bounded: at most two entries per member (see ``add``).
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Timetable(Generic[Member]):
    """Members by the time they are due, monotonic seconds."""

    __slots__ = ("_due", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Member]] = []
        self._due: dict[Member, float] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._due)

    def add(self, member: Member, due: float) -> None:
        """Ask for ``member`` at ``due`` at the latest; an earlier standing entry stays."""
        if self._due.get(member, float("inf")) <= due:
            return
        self._due[member] = due
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, member))
        # Shortened deadlines leave their old entry behind; rebuild before the dead outnumber the living.
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(when, index, who) for index, (who, when) in enumerate(self._due.items())]
            self._serial = len(self._heap)
            heapq.heapify(self._heap)

    def discard(self, member: Member) -> None:
        """Forget ``member``."""
        self._due.pop(member, None)

    def take(self, now: float) -> list[Member]:
        """Return who is due, earliest first, and forget them until they are added again."""
        taken: list[Member] = []
        while self._heap and self._heap[0][0] <= now:
            due, _, member = heapq.heappop(self._heap)
            if self._due.get(member) == due:
                del self._due[member]
                taken.append(member)
        return taken

    def next_due(self) -> float:
        """Return the earliest time anybody may be due; infinity if nobody is."""
        return self._heap[0][0] if self._heap else float("inf")
