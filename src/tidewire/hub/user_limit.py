"""How many connections a user may have, on all nodes together.

A newcomer is counted where all nodes can see it, in one step with the check. Only when that says no are the nodes
themselves asked: a dead or frozen one cannot refuse anybody, its numbers are forgotten. It must not know sessions or
credentials. Without other nodes there is nothing but the own number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable

import structlog

from tidewire.bus.user_counts import REWRITE_EVERY_S, UserCounts
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError

_log = structlog.get_logger(__name__)

# Returns how many connections a user has on other nodes, as those that live say themselves.
Elsewhere = Callable[[int], Awaitable[int]]


class UserLimit:
    """See the module's text.

    Args:
        limit: Most connections of one user.
        own: How many a user has here.
        users: Who has any here.
        slots: Where numbers are shared; None: this node is alone.
        node: This life of the process.
        spawn: Runs a coroutine that handles its own errors.

    Attributes:
        elsewhere: Asks the other nodes; without it the shared numbers are believed.
    """

    def __init__(
        self,
        limit: int,
        own: Callable[[int], int],
        users: Callable[[], Iterable[int]],
        slots: UserCounts | None,
        clock: Clock,
        node: str,
        spawn: Callable[[Coroutine[None, None, None], str], None],
    ) -> None:
        self._limit = limit
        self._own = own
        self._users = users
        self._slots = slots
        self._clock = clock
        self._node = node
        self._spawn = spawn
        self._coming: dict[int, int] = {}
        self._dirty: set[int] = set()
        self._busy = False
        self._rewrite_at = clock.monotonic() + REWRITE_EVERY_S
        self.elsewhere: Elsewhere | None = None
        self.refused = 0
        self.asked = 0

    def count(self, user_id: int) -> int:
        """Return how many connections a user has here or is about to have."""
        return self._own(user_id) + self._coming.get(user_id, 0)

    async def admit(self, user_id: int) -> bool:
        """Return whether one more connection is allowed; if so, it counts until ``arrived``. Raises BusError."""
        self._coming[user_id] = self._coming.get(user_id, 0) + 1
        if self._slots is None and self.count(user_id) <= self._limit:
            return True
        allowed = False
        try:
            allowed = await self._allowed(user_id)
        finally:
            if not allowed:
                self.arrived(user_id)
        self.refused += not allowed
        return allowed

    def arrived(self, user_id: int) -> None:
        """The connection that was admitted is among the own ones now, or will never be."""
        left = self._coming.pop(user_id) - 1
        if left:
            self._coming[user_id] = left
        self.changed(user_id)

    def changed(self, user_id: int) -> None:
        """The number of a user's connections here may be another one; it is written soon."""
        if self._slots is not None:
            self._dirty.add(user_id)

    def rewrite(self) -> None:
        """Write every number again: the broker may have forgotten them."""
        if self._slots is not None:
            self._dirty.update(self._users())

    def tick(self, now: float) -> None:
        """Write what has changed; called a few times a second."""
        if now >= self._rewrite_at:
            self._rewrite_at = now + REWRITE_EVERY_S
            self.rewrite()
        if self._slots is not None and self._dirty and not self._busy:
            self._busy = True
            self._spawn(self._write(self._slots), "user-limit")

    def statistics(self) -> dict[str, int]:
        """Return counters, and how many numbers wait to be written."""
        return {"refused": self.refused, "asked": self.asked, "unwritten": len(self._dirty)}

    # ---- inside

    async def _allowed(self, user_id: int) -> bool:
        if self.count(user_id) > self._limit:
            return False
        if self._slots is None or await self._slots.take(user_id, self._node, self.count(user_id), self._limit):
            return True
        if self.elsewhere is None:
            return False
        self.asked += 1
        if await self.elsewhere(user_id) + self.count(user_id) > self._limit:
            return False
        # What the shared numbers hold beyond that is of nodes that are gone; those that live write theirs anew.
        await self._slots.write(user_id, self._node, self.count(user_id))
        return True

    async def _write(self, slots: UserCounts) -> None:
        try:
            while self._dirty:
                user_id = self._dirty.pop()
                try:
                    await slots.write(user_id, self._node, self.count(user_id))
                except BusError:
                    # The next tick tries again; while the broker is away nobody can be admitted anyway.
                    self._dirty.add(user_id)
                    raise
        except BusError as error:
            _log.debug("user_counts_unwritten", left=len(self._dirty), **error.describe())
        finally:
            self._busy = False
