"""The views that somebody on this node watches: counted once each however many watch, and told what has changed.

A view is counted anew soon after something that it counts has happened, and now and then without that, because time
moves on and news may be lost. Who has counted tells the other nodes, which take the result and wait with their own; so
a view that is watched everywhere is counted about once. It must not know SQL, sockets, or what figures mean.
Source: docs/decisions/0017.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from tidewire.analytics.figures import Parts, changed
from tidewire.analytics.rules import PREFIX, Choices, View
from tidewire.analytics.wire import FAILURE_PART, UPDATE, update_bodies
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, InvalidRequest, StoreError, TidewireError, Unavailable
from tidewire.core.throttle import Throttle
from tidewire.core.unreadable import UNREADABLE
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.hub import Hub
from tidewire.store.records import JsonValue

RESULTS = "tidewire:analytics:results"
LOOK_EVERY_S = 0.25
# However often something happens: faster than this nobody reads figures.
PAUSE_S = 1.0
# A view that takes long to count rests so many times as long: at most a sixth of one connection, whatever is watched.
REST = 5.0
# Without news: the time looked at moves on, and a lost message must not leave a figure wrong for long.
REFRESH_S = 15.0
FAILED_S = 5.0
# Somebody who reloads a page is back by then.
LINGER_S = 30.0
# One person has 10 connections with 3 views each; beyond this, counting would never end.
VIEWS_MAX = 200

Count = Callable[[View, float], Awaitable[Parts]]
_log = structlog.get_logger(__name__)


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What a node tells the others that it has counted. ``origin``: one life of that node's process."""

    origin: str
    room_id: str
    as_of: float
    parts: dict[str, Any]


@dataclass(slots=True, eq=False)
class Watched:
    """One view. Times are monotonic, except ``as_of``.

    Attributes:
        parts: As counted last; None before the first time.
        stale: Something has happened that may not be in them.
        earliest: Not counted again before.
        due: When it is counted again if nothing happens before.
        failure: Why the last count failed; None if it did not.
    """

    view: View
    parts: Parts | None = None
    as_of: float = 0.0
    stale: bool = False
    earliest: float = 0.0
    due: float = 0.0
    failure: TidewireError | None = None
    looked_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def shown_parts(self) -> Parts:
        """Return the parts, and why they are not newer."""
        failure: JsonValue = None if self.failure is None else dict(self.failure.describe())
        return {**(self.parts or {}), **({} if failure is None else {FAILURE_PART: failure})}


_decode = msgspec.json.Decoder(Result).decode


class Views:
    """See the module's text.

    Args:
        count: Returns the parts of a view at a time; raises StoreError.
        origin: What no other life of this or any other process is called.
    """

    def __init__(self, hub: Hub, bus: Bus, clock: Clock, choices: Choices, count: Count, origin: str) -> None:
        self._hub = hub
        self._bus = bus
        self._clock = clock
        self._choices = choices
        self._count = count
        self._origin = origin
        self._watched: dict[str, Watched] = {}
        self._nameless: set[str] = set()
        # One count at a time: the pool is shared with jobs that must not wait for figures.
        self._counting = asyncio.Lock()
        self._chance = random.Random()  # noqa: S311 - spreads work, hides nothing
        self._failed = Throttle(every_s=60.0)
        loop = WatchedLoop("analytics", LOOK_EVERY_S, self.step, clock)
        self.rounds = Rounds(loop, Listening(bus, {RESULTS: self._receive}))
        self.counts = dict.fromkeys(("counted", "taken", "told_parts", "failed", "unshared", "unreadable"), 0)

    def start(self) -> None:
        """Listen to the other nodes, and count."""
        self.rounds.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self.rounds.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many views are watched."""
        return {**self.counts, "views": len(self._watched)}

    def mark(self, concerned: Callable[[View], bool]) -> None:
        """Something has happened that those views may count."""
        now = self._clock.monotonic()
        for one in self._watched.values():
            if concerned(one.view):
                one.stale = True
                one.due = min(one.due, max(now, one.earliest))

    async def ready(self, view: View) -> Watched:
        """Return a view with figures that are kept fresh from now on.

        Raises:
            Unavailable: There are too many views.
            StoreError: It could not be counted.
        """
        one = self._watch(view)
        now = self._clock.monotonic()
        if one.parts is None or now > one.due + PAUSE_S:
            one.due = min(one.due, now)
            await self._renew(one)
        if one.parts is None:
            assert one.failure is not None  # noqa: S101 - else there would be parts
            raise one.failure
        return one

    async def step(self) -> None:
        """Count what is due, one view after the other; called every ``LOOK_EVERY_S``."""
        now = self._clock.monotonic()
        occupied = set(self._hub.features.occupied(PREFIX))
        self._nameless &= occupied
        for room_id in occupied - self._watched.keys() - self._nameless:
            self._meet(room_id)
        for room_id, one in list(self._watched.items()):
            if room_id in occupied:
                one.looked_at = now
            elif now > one.looked_at + LINGER_S:
                del self._watched[room_id]
        for room_id in sorted(occupied & self._watched.keys(), key=lambda name: self._watched[name].due):
            one = self._watched[room_id]
            if self._clock.monotonic() >= one.due:
                await self._renew(one)

    # ---- inside

    def _watch(self, view: View) -> Watched:
        one = self._watched.get(view.room_id)
        if one is None:
            if len(self._watched) >= VIEWS_MAX:
                raise Unavailable(
                    f"{VIEWS_MAX} views of dashboards are watched on this node already.",
                    required_action="Use a filter that somebody else uses, or try again later.",
                    will_not="Tidewire will not slow all of them down for one more.",
                    code="too_many_views",
                    details={"most": VIEWS_MAX},
                )
            one = self._watched[view.room_id] = Watched(view, looked_at=self._clock.monotonic())
        return one

    def _meet(self, room_id: str) -> None:
        """Somebody has entered by ``subscribe``: there may be no such view."""
        view = self._choices.of_room(room_id)
        try:
            if view is None:
                raise InvalidRequest(
                    f"There is no view {room_id}.",
                    required_action="Send start_analytics; its reply names the room.",
                    will_not="Tidewire will not count anything for this room.",
                    code="bad_filter",
                    details={"filter": "room"},
                )
            self._watch(view)
        except (InvalidRequest, Unavailable) as error:
            self._nameless.add(room_id)
            self._tell(View(room_id.removeprefix(PREFIX)), room_id, 0.0, {FAILURE_PART: dict(error.describe())})

    async def _renew(self, one: Watched) -> None:
        async with one.turn:
            if self._clock.monotonic() < one.due:
                # Somebody else has counted while this one waited.
                return
            try:
                async with self._counting:
                    began, now = self._clock.monotonic(), self._clock.time()
                    one.stale = False
                    parts = await self._count(one.view, now)
            except StoreError as error:
                self._note_failure(one, error)
                return
            done = self._clock.monotonic()
            self.counts["counted"] += 1
            one.earliest = done + max(PAUSE_S, REST * (done - began))
            self._take(one, now, parts, done)
        try:
            result = Result(self._origin, one.view.room_id, now, parts)
            self._bus.publish(RESULTS, [msgspec.json.encode(result)])
        except BusError:
            # The others count by themselves.
            self.counts["unshared"] += 1

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        now = self._clock.monotonic()
        for payload in payloads:
            try:
                result = _decode(payload)
            except UNREADABLE:
                self.counts["unreadable"] += 1
                continue
            one = self._watched.get(result.room_id)
            # While nobody is inside nothing is told; what is taken then would be missed by who comes back.
            if one is None or not self._hub.occupied(result.room_id):
                continue
            if result.origin == self._origin or result.as_of <= one.as_of:
                continue
            self.counts["taken"] += 1
            # What made this view stale here may have come after that count began: it stays stale, and is counted.
            one.earliest = max(one.earliest, now + PAUSE_S)
            self._take(one, result.as_of, dict(result.parts), now)

    def _take(self, one: Watched, as_of: float, parts: Parts, now: float) -> None:
        changes = changed(one.parts, parts)
        if one.failure is not None:
            changes = {**changes, FAILURE_PART: None}
        one.parts, one.as_of, one.failure = parts, as_of, None
        # Not all nodes at once: the first to count spares the others.
        rest = one.earliest if one.stale else now + REFRESH_S * (1 + 0.2 * self._chance.random())
        one.due = max(one.earliest, rest)
        self._tell(one.view, one.view.room_id, as_of, changes)

    def _note_failure(self, one: Watched, error: StoreError) -> None:
        now = self._clock.monotonic()
        self.counts["failed"] += 1
        one.stale = True
        one.earliest = one.due = now + FAILED_S
        if told := self._failed.admit(now):
            _log.warning("analytics_uncounted", failed=told, room_id=one.view.room_id, **error.describe())
        # Told when it is another reason than before; the age of the figures tells the rest.
        before, one.failure = one.failure, error
        if before is None or before.code != error.code:
            self._tell(one.view, one.view.room_id, one.as_of, {FAILURE_PART: dict(error.describe())})

    def _tell(self, view: View, room_id: str, as_of: float, changes: Parts) -> None:
        """Send each changed part by itself, so that a slow reader skips to its newest; nothing changed: the time."""
        if not self._hub.occupied(room_id):
            return
        for name, part in changes.items():
            self._hub.publish(room_id, update_bodies(view, as_of, {name: part}), kind=UPDATE, key=name)
            self.counts["told_parts"] += 1
        if not changes:
            self._hub.publish(room_id, update_bodies(view, as_of, {}), kind=UPDATE, key="")
