"""Runs web workers and one feed as child processes: starts them in order, restarts what ends, drains them in order.

Nothing happens in silence: every end is logged with its cause, counted, and shown by ``places``. A place whose process
ends again and again, with nobody left to cover it, leaves the shared port until its next attempt. It must not know
what the children do.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from typing import Any

import structlog

from tidewire.app.child import Child
from tidewire.app.covers import Covers, Place
from tidewire.app.ports import SharedPort
from tidewire.app.slot import Slot, SlotState
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import TidewireError, Unavailable

# A start takes 2 s on an idle core; a machine that starts sixteen at once is busy.
START_S = 60.0
TELL_LATE_S = 10.0
# A drain takes 15 s at most (app/hub_side.py, web/server.py); what has not ended by then never will.
DRAIN_S = 25.0
# A child that has not turned its event loop for this long serves nobody; its sockets are better off elsewhere.
FROZEN_S = 20.0
LOOK_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class StartFailed(TidewireError):
    """A child ended before it was ready, when everything was started for the first time."""

    code = "start_failed"


class Supervisor:
    """See the module's text.

    Args:
        node: This machine's name; the children are named after it.
        workers: How many web workers.
        with_feed: Whether one more child runs the feed.
        port: The shared port; claimed already.
        frozen_s: How long a child may be silent.
    """

    def __init__(
        self,
        *,
        node: str,
        workers: int,
        with_feed: bool,
        port: SharedPort,
        clock: Clock,
        frozen_s: float = FROZEN_S,
    ) -> None:
        self._frozen_s = frozen_s
        self._port = port
        self._clock = clock
        self._web = [Place(Slot(f"{node}-{n}", "web", n)) for n in range(1, workers + 1)]
        self._covers = Covers(self._web, port)
        self._feed = [Place(Slot(f"{node}-feed", "feed", 0))] if with_feed else []
        self._stopping = False
        self._roll_wanted = asyncio.Event()
        self._jobs: list[asyncio.Task[None]] = []
        self._forced = 0
        self._keepers: dict[Place, asyncio.Task[None]] = {}
        # Spreads restarts in time; it guards no secret.
        self._chance = random.Random()  # noqa: S311

    @property
    def places(self) -> list[Place]:
        """Every place, web workers first."""
        return [*self._web, *self._feed]

    # -- life

    async def start(self) -> None:
        """Start the first worker, then the others, then the feed. Raises StartFailed or SettingsError."""
        # The first one alone: it brings an embedded database up to date.
        for group in (self._web[:1], self._web[1:], self._feed):
            await asyncio.gather(*(self._first(place) for place in group))
        for place in self.places:
            self._keepers[place] = background(self._keep(place), f"keep-{place.slot.name}")
        self._jobs = [
            background(self._watch(), "watch-children"),
            background(self._roll_on_request(), "rolling-restarts"),
        ]

    async def stop(self) -> int:
        """End the web workers, then the feed, each within DRAIN_S. Idempotent. Return how many had to be killed."""
        self._stopping = True
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for place in self._web:
            self._tell_end(place)
        # The workers have let go of the port or are about to; from here on nobody is to wait on it.
        self._port.close()
        # A child that is just being started is told too: its keeper sees that everything ends.
        for group in (self._web, self._feed):
            for place in group:
                self._tell_end(place)
            await asyncio.gather(*(self._end(place) for place in group))
        return self._forced

    def kill(self) -> None:
        """End every child now."""
        for place in self.places:
            if place.child is not None:
                place.child.send(signal.SIGKILL)

    def roll(self) -> None:
        """Replace the children one after the other; while that is under way, once more afterwards."""
        log.info("rolling_restart_wanted", under_way=self._roll_wanted.is_set())
        self._roll_wanted.set()

    def facts(self) -> list[dict[str, Any]]:
        """Return what is known of every place, for people and programs."""
        now = self._clock.monotonic()
        return [
            {
                "name": place.slot.name,
                "role": place.slot.role,
                "pid": place.child.pid if place.child is not None else None,
                "state": place.slot.state.value,
                "state_s": round(now - place.slot.since, 1),
                "looping": place.slot.is_looping,
                "restarts": place.slot.restarts,
                "ends": list(place.slot.ends),
                **(place.child.facts if place.child is not None else {}),
            }
            for place in self.places
        ]

    async def ready(self) -> float:
        """Pass while every place is filled by a process that serves. Raises Unavailable."""
        missing = [f"{p.slot.name} ({p.slot.state.value})" for p in self.places if p.slot.state is not SlotState.READY]
        if missing:
            raise Unavailable(
                f"Not serving: {', '.join(missing)}.",
                required_action="Look at the log for worker_ended.",
                will_not="The other workers do not stand in for the feed, nor the feed for them.",
            )
        return 0.0

    # -- one place

    async def _first(self, place: Place) -> None:
        if await self._launch(place):
            return
        assert place.child is not None  # noqa: S101 - launched just now
        await place.child.ended()
        raise StartFailed(
            f"{place.slot.name} ended ({place.child.cause}) before it was ready.",
            required_action="Read its own message above, correct that, and start again.",
            will_not="Tidewire will not start with fewer processes than you asked for.",
        )

    async def _launch(self, place: Place) -> bool:
        """Fill a place and wait until the process is ready; one that takes too long is told, then ended."""
        place.slot.launched(self._clock.monotonic())
        place.child = await self._spawn(place)
        return await self._wait_ready(place, place.child)

    async def _wait_ready(self, place: Place, child: Child) -> bool:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(START_S):
                late = asyncio.get_running_loop().call_later(TELL_LATE_S, self._tell_late, place, child)
                try:
                    is_ready = await child.ready()
                finally:
                    late.cancel()
        except TimeoutError:
            log.error("worker_start_failed", worker=place.slot.name, pid=child.pid, waited_s=START_S, **_NOT_READY)
            child.send(signal.SIGKILL)
            return False
        if is_ready:
            now = self._clock.monotonic()
            place.slot.ready(now)
            place.heard_at = now
            self._covers.arrange()
            log.info("worker_ready", worker=place.slot.name, pid=child.pid, after_s=round(now - began, 2))
        return is_ready

    async def _spawn(self, place: Place) -> Child:
        slot = place.slot
        arguments = ["worker", "--role", slot.role, "--name", slot.name, "--number", str(self._metrics_offset(slot))]
        fds = []
        if slot.role == "web":
            fds = [self._port.socket_of(slot.number).fileno()]
            arguments += ["--listen-fd", str(fds[0])]
        return await Child.spawn(arguments, fds=fds, heard=lambda: self._heard(place))

    def _metrics_offset(self, slot: Slot) -> int:
        return slot.number or len(self._web) + 1

    def _heard(self, place: Place) -> None:
        place.heard_at = self._clock.monotonic()
        place.slot.well(place.heard_at)

    async def _keep(self, place: Place) -> None:
        """Start the place's process again whenever it ends and nobody wanted that."""
        while True:
            child = place.child
            assert child is not None  # noqa: S101 - filled before the keeper starts, and for ever
            await child.ended()
            if place.child is not child:
                continue
            delay_s = place.slot.ended(self._clock.monotonic(), child.cause, self._chance.random())
            if place.slot.state is SlotState.STOPPED or self._stopping:
                return
            self._tell_ended(place, child, delay_s)
            self._covers.arrange()
            if place.slot.is_looping and not self._covers.covered(place):
                self._port.close_of(place.slot.number)
            await self._clock.sleep(delay_s)
            try:
                await self._launch(place)
            except (OSError, TidewireError) as exc:
                # No memory or no port for another process is like one that ended at once.
                place.slot.ends.append(str(exc))
                log.exception("worker_not_started", worker=place.slot.name, what_happened=str(exc))

    async def _end(self, place: Place) -> None:
        child = place.child
        keeper = self._keepers.pop(place, None)
        if keeper is not None and (child is None or place.slot.state is not SlotState.DRAINING):
            keeper.cancel()
        if child is not None:
            await self._end_child(place, child)
        if keeper is not None:
            await asyncio.gather(keeper, return_exceptions=True)

    async def _end_child(self, place: Place, child: Child) -> None:
        """Wait for a child that has been told to end; after DRAIN_S end it."""
        try:
            async with asyncio.timeout(DRAIN_S):
                await child.ended()
        except TimeoutError:
            self._forced += 1
            log.error("worker_killed", worker=place.slot.name, pid=child.pid, waited_s=DRAIN_S, **_NOT_DRAINED)
            child.send(signal.SIGKILL)
            await child.ended()
        log.info("worker_stopped", worker=place.slot.name, pid=child.pid, cause=child.cause)

    def _tell_end(self, place: Place) -> None:
        if place.child is not None and place.slot.state is not SlotState.DRAINING and place.child.returncode is None:
            place.slot.draining(self._clock.monotonic())
            place.child.send(signal.SIGTERM)

    # -- all places

    async def _watch(self) -> None:
        """End a child that has been silent for too long: it is frozen, and holds its sockets for nothing."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            now = self._clock.monotonic()
            for place in self.places:
                silent_s = now - place.heard_at
                if place.slot.state is SlotState.READY and place.child is not None and silent_s > self._frozen_s:
                    log.error("worker_frozen", worker=place.slot.name, pid=place.child.pid, silent_s=round(silent_s, 1))
                    place.child.send(signal.SIGKILL)
                    place.heard_at = now

    async def _roll_on_request(self) -> None:
        while True:
            await self._roll_wanted.wait()
            self._roll_wanted.clear()
            try:
                await self._roll(self.places)
            except Exception:
                log.exception("rolling_restart_failed")

    async def _roll(self, places: Sequence[Place]) -> None:
        log.info("rolling_restart_begins", workers=len(places))
        for place in places:
            if place.slot.state is not SlotState.READY:
                log.warning("rolling_restart_skips", worker=place.slot.name, state=place.slot.state.value)
                continue
            if not await self._replace(place):
                return
        log.info("rolling_restart_done", workers=len(places))

    async def _replace(self, place: Place) -> bool:
        """Put a new process into a place: it is ready before the old one is told to end."""
        old = place.child
        new = await self._spawn(place)
        try:
            is_ready = await self._wait_ready(place, new)
        except asyncio.CancelledError:
            new.send(signal.SIGKILL)
            raise
        if not is_ready:
            await new.ended()
            log.error("rolling_restart_stopped", worker=place.slot.name, cause=new.cause, **_NOT_REPLACED)
            return False
        place.child = new
        self._covers.arrange()
        if old is not None:
            old.send(signal.SIGTERM)
            await self._end_child(place, old)
        return True

    # -- words

    def _tell_late(self, place: Place, child: Child) -> None:
        log.warning("worker_start_late", worker=place.slot.name, pid=child.pid, waited_s=TELL_LATE_S, limit_s=START_S)

    def _tell_ended(self, place: Place, child: Child, delay_s: float) -> None:
        slot = place.slot
        if slot.is_looping:
            log.error(
                "worker_crash_loop",
                worker=slot.name, pid=child.pid, cause=child.cause, ends=list(slot.ends), retry_in_s=round(delay_s, 2),
                required_action="Read what it logged before it ended.",
                will_not="It gets no connections until it runs again; the other workers go on.",
            )  # fmt: skip
            return
        log.error(
            "worker_ended",
            worker=slot.name, pid=child.pid, cause=child.cause, restarts=slot.restarts, retry_in_s=round(delay_s, 2),
            required_action="None if it stays up; otherwise read what it logged before it ended.",
            will_not="Its clients are not moved; they connect again by themselves.",
        )  # fmt: skip


_NOT_READY = {
    "what_happened": "The process did not say that it is ready.",
    "required_action": "Read what it logged; a database or a broker that does not answer is the usual cause.",
    "will_not": "It is not waited for any longer; it is ended and started again.",
}
_NOT_DRAINED = {
    "what_happened": "The process did not end in time.",
    "required_action": "Report this with its log.",
    "will_not": "Its clients are not told anything more; they connect again by themselves.",
}
_NOT_REPLACED = {
    "what_happened": "A new process did not get ready.",
    "required_action": "Correct what it logged, then ask for a rolling restart again.",
    "will_not": "The old process goes on serving; the workers after it are not replaced.",
}
