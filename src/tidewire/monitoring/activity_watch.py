"""The activity log live: who looks, with which filters, and what each is sent. It must not know SQL or how rows look.

A committed row rings a bell on the bus; whoever has watchers then asks the database what is new, and once a second
anyway, since the command line rings no bell. The bell carries nothing: what is sent has been read from the log, with
the same filter as its pages. Source: contract.md section 5, ``start_user_activity``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, Forbidden, StoreError
from tidewire.core.protocol import error_body
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.command import Answer, Command
from tidewire.hub.features import Features
from tidewire.hub.room import RoomRules
from tidewire.hub.session import Session
from tidewire.monitoring.activity_follow import LOOK_BACK, Followed
from tidewire.monitoring.activity_wire import (
    FAMILY,
    PERMISSION,
    StartUserActivity,
    StopUserActivity,
    UserActivity,
    read_filters,
    row_of,
)
from tidewire.monitoring.cursor import write_cursor
from tidewire.store.activity import MARK, READ_MAX, ActivityFilter, ActivityLog, Place
from tidewire.store.records import ActivityRecord

log = structlog.get_logger("tidewire.monitoring")

CHANNEL = "tidewire:activity"
# What the command line writes is seen after this at most.
EVERY_S = 1.0
PAGE_ROWS = 50
# Each watcher is told what is its own; nothing is kept, since whoever comes back gets the newest page.
RULES = RoomRules(history_messages=0, fed=True)


@dataclass(slots=True)
class _Watcher:
    """One connection. ``page``: numbers it has from its page; ``oldest``: what is older is on further pages."""

    session: Session
    room_id: str
    wanted: ActivityFilter
    page: frozenset[int]
    oldest: Place | None


class ActivityWatch:
    """See the module's text.

    Args:
        activity: The table, read beside whoever waits for an answer.
        masked: Addresses are shown without their last part.
    """

    def __init__(self, activity: ActivityLog, bus: Bus, features: Features, clock: Clock, *, masked: bool) -> None:
        self._activity = activity
        self._bus = bus
        self._features = features
        self._clock = clock
        self._masked = masked
        self._followed = Followed()
        self._watchers: dict[str, _Watcher] = {}
        self._lock = asyncio.Lock()
        loop = WatchedLoop("activity", EVERY_S, self.step, clock)
        self.rounds = Rounds(loop, Listening(bus, {CHANNEL: self._rung}))
        self._due = False
        self._interrupted = False
        self.sent = self.pages = self.failed = self.unrung = 0

    def commands(self) -> list[Command]:
        """Return the messages that it understands."""
        return [Command(StartUserActivity, self.watch), Command(StopUserActivity, self.leave)]

    def start(self) -> None:
        """Listen to the bell, and look."""
        self.rounds.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self.rounds.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many watch here."""
        return {
            "watchers": len(self._watchers),
            "rows_sent": self.sent,
            "pages_sent": self.pages,
            "reads_failed": self.failed,
            "unrung": self.unrung,
        }

    def committed(self, marks: Set[str]) -> None:
        """A transaction has been committed here: ring the bell if there is a row in it."""
        if MARK not in marks:
            return
        try:
            self._bus.publish(CHANNEL, [b"{}"])
        except BusError:
            # Every node looks once a second anyway.
            self.unrung += 1
            self._look()

    def watch(self, session: Session, message: StartUserActivity) -> Answer:
        """Enter the room, send the newest page, and from then on what is new."""
        principal = session.principal
        if principal is None or not principal.can(PERMISSION):
            raise Forbidden(
                f"This needs the permission {PERMISSION}, which you do not have.",
                required_action="Ask an administrator to grant it.",
                will_not="Tidewire will not show any part of the activity log.",
                details={"permission": PERMISSION},
            )
        wanted = read_filters(message.filters, masked=self._masked)
        return self._watch(session, wanted, f"{FAMILY}:{principal.user_id}")

    def leave(self, session: Session, message: StopUserActivity) -> Answer:
        """Send nothing any more; nothing happens to whoever did not watch."""
        watcher = self._watchers.pop(session.connection_id, None)
        if watcher is not None:
            self._features.leave(session, watcher.room_id, "stopped", "You have asked for no more of it.")
        return b""

    async def step(self) -> None:
        """Send what is new to those who watch here; called once a second and at each bell."""
        async with self._lock:
            self._drop_gone()
            if not self._watchers:
                return
            try:
                await self._send_new()
            except StoreError as error:
                self.failed += 1
                self._interrupt(error)
                return
            if self._interrupted:
                # Nothing new may have come for hours; that it would is known by an empty message.
                self._interrupted = False
                for watcher in self._watchers.values():
                    self._send(watcher.session, watcher.room_id, "rows", [])

    async def _watch(self, session: Session, wanted: ActivityFilter, room_id: str) -> bytes:
        await self._features.enter(session, room_id)
        try:
            # Under the lock no row can be told between the page and the moment from which on rows are.
            async with self._lock:
                self._drop_gone()
                if not self._watchers:
                    await self._begin()
                page = await self._activity.page(wanted, limit=PAGE_ROWS)
                if not self._features.inside(session, room_id):
                    return b""
                numbers = frozenset(row.id for row in page.rows)
                self._watchers[session.connection_id] = _Watcher(session, room_id, wanted, numbers, page.after)
                rows = page.rows
                self._send(session, room_id, "page", rows, cursor=write_cursor(page.after))
                self.pages += 1
        except StoreError as error:
            self._watchers.pop(session.connection_id, None)
            self._features.leave(session, room_id, "state_unavailable", error.message)
            raise
        return b""

    async def _begin(self) -> None:
        floor = max(0, await self._activity.newest_id() - LOOK_BACK)
        self._followed.begin(await self._activity.ids_after(floor), floor, self._clock.monotonic())

    async def _send_new(self) -> None:
        """Read and send the new rows. Raises StoreError; what was not sent to everybody then is still new."""
        ids = self._followed.take(await self._activity.ids_after(self._followed.floor), self._clock.monotonic())
        for begin in range(0, len(ids), READ_MAX):
            some = ids[begin : begin + READ_MAX]
            rows = await self._activity.rows(some)
            shown = {wanted: await self._shown(wanted, some) for wanted in self._filters()}
            # No await from here on: everybody gets these rows, or nobody.
            for watcher in list(self._watchers.values()):
                numbers = shown.get(watcher.wanted, frozenset())
                fresh = [row for row in rows if row.id in numbers and _is_new(row, watcher)]
                if fresh and self._still_may(watcher):
                    self._send(watcher.session, watcher.room_id, "rows", fresh)
                    self.sent += len(fresh)
            self._followed.told(some, self._clock.monotonic())

    def _filters(self) -> set[ActivityFilter]:
        return {watcher.wanted for watcher in self._watchers.values()}

    async def _shown(self, wanted: ActivityFilter, ids: Sequence[int]) -> frozenset[int]:
        """Return which of the rows a filter shows."""
        return frozenset(ids) if wanted == ActivityFilter() else await self._activity.matching(wanted, ids)

    def _send(
        self, session: Session, room_id: str, event: str, rows: list[ActivityRecord], *, cursor: str | None = None
    ) -> None:
        message = UserActivity(
            room_id=room_id,
            timestamp=self._clock.time(),
            event="page" if event == "page" else "rows",
            rows=[row_of(row, masked=self._masked, brief=True) for row in rows],
            cursor=cursor,
        )
        self._features.send(session, msgspec.json.encode(message))

    def _interrupt(self, error: StoreError) -> None:
        """Say once that rows are missing until the log can be read again."""
        if self._interrupted:
            return
        self._interrupted = True
        log.warning("activity_unreadable", **error.describe())
        for watcher in self._watchers.values():
            message = UserActivity(
                room_id=watcher.room_id,
                timestamp=self._clock.time(),
                event="interrupted",
                rows=[],
                error=error_body(error),
            )
            self._features.send(watcher.session, msgspec.json.encode(message))

    def _drop_gone(self) -> None:
        """Forget those who have left, whoever ended it."""
        gone = [key for key, each in self._watchers.items() if not self._features.connected(key, each.room_id)]
        for key in gone:
            del self._watchers[key]

    def _still_may(self, watcher: _Watcher) -> bool:
        """Whether they may look at this moment; the hub puts out of the room whoever may not."""
        principal = watcher.session.principal
        inside = self._features.connected(watcher.session.connection_id, watcher.room_id)
        return inside and principal is not None and principal.can(PERMISSION)

    def _rung(self, _: str, payloads: Sequence[bytes]) -> None:
        self._look()

    def _look(self) -> None:
        """Look soon; however often it rings meanwhile, once."""
        if self._due or not self._watchers:
            return
        self._due = True
        self._features.spawn(self._look_now(), "activity-look")

    async def _look_now(self) -> None:
        # What is committed from here on rings again.
        self._due = False
        await self.step()


def _is_new(row: ActivityRecord, watcher: _Watcher) -> bool:
    """Whether a row is neither on the watcher's page nor on a further one."""
    if row.id in watcher.page:
        return False
    return watcher.oldest is None or (row.entry.at, row.id) > watcher.oldest
