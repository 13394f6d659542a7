"""How many connections a user may have, on all nodes together.

A newcomer is counted where all nodes can see it, in one step with the check. Only when that says no are the nodes
themselves asked, in one question for all who wait for the answer: a dead or frozen one cannot refuse anybody. It must
not know sessions or credentials. Without other nodes there is nothing but the own number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Literal

import structlog

from tidewire.bus.user_counts import REWRITE_EVERY_S, UserCounts
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError

_log = structlog.get_logger(__name__)

# Returns how many connections each of these users has on other nodes, as those that live say themselves.
Elsewhere = Callable[[Sequence[int]], Awaitable[Sequence[int]]]
# "disputed": the shared numbers say no, but some may be of nodes that are gone; ``settle`` finds out.
Seat = Literal["taken", "refused", "disputed"]


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
        # Who is to be asked about in the next question -> what they have elsewhere, or why that is not known.
        self._disputed: dict[int, asyncio.Future[int | Exception]] = {}
        self._asking = False
        self._dirty: set[int] = set()
        self._busy = False
        self._rewrite_at = clock.monotonic() + REWRITE_EVERY_S
        self.elsewhere: Elsewhere | None = None
        self.refused = 0
        self.asked = 0

    def count(self, user_id: int) -> int:
        """Return how many connections a user has here or is about to have."""
        return self._own(user_id) + self._coming.get(user_id, 0)

    async def admit(self, user_id: int) -> Seat:
        """Return whether one more connection is allowed; unless refused, it counts until ``arrived``. Raises BusError.

        A "disputed" one must go through ``settle``, which may take as long as a silent node is waited for.
        """
        self._coming[user_id] = self._coming.get(user_id, 0) + 1
        seat: Seat = "refused"
        try:
            seat = await self._seat(user_id)
        finally:
            if seat == "refused":
                self.arrived(user_id)
        self.refused += seat == "refused"
        return seat

    async def settle(self, user_id: int) -> bool:
        """Return whether a disputed connection is allowed; if so, it counts until ``arrived``. Raises BusError."""
        allowed = False
        try:
            if self.elsewhere is not None:
                allowed = await self._count_elsewhere(user_id, self.elsewhere) + self.count(user_id) <= self._limit
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

    async def _seat(self, user_id: int) -> Seat:
        if self.count(user_id) > self._limit:
            return "refused"
        if self._slots is None or await self._slots.put(user_id, self._node, self.count(user_id), self._limit):
            return "taken"
        return "disputed" if self.elsewhere is not None else "refused"

    async def _count_elsewhere(self, user_id: int, elsewhere: Elsewhere) -> int:
        """Return how many connections a user has on other nodes, from the next question to them."""
        waiting = self._disputed.get(user_id)
        if waiting is None:
            waiting = self._disputed[user_id] = asyncio.get_running_loop().create_future()
        if not self._asking:
            self._asking = True
            self._spawn(self._ask(elsewhere), "user-limit-ask")
        # Several may wait for it; who gives up takes the answer from nobody.
        answer = await asyncio.shield(waiting)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _ask(self, elsewhere: Elsewhere) -> None:
        """Ask about all who wait, and those who come meanwhile in the next question."""
        try:
            while self._disputed:
                asked, self._disputed = self._disputed, {}
                self.asked += 1
                answers: Sequence[int | Exception]
                try:
                    answers = await elsewhere(list(asked))
                except Exception as error:  # noqa: BLE001 - a task's root: whoever waits gets it
                    will_not = "Tidewire will not let in whom it cannot count."
                    _log.warning("users_uncounted", users=len(asked), error=repr(error)[:200], will_not=will_not)
                    answers = [error] * len(asked)
                for waiting, answer in zip(asked.values(), answers, strict=True):
                    waiting.set_result(answer)
        finally:
            self._asking = False

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
