"""Rooms that several nodes share: followed from a log, and recovered from it; ``hub/posting.py`` publishes into it.

A node listens to a room's channel while somebody of its own is inside (and a few seconds longer). It listens first and
reads the log then, so that nothing falls between the two; ``Replica`` puts both into one order. After every break, and
now and then without one, it compares places and reads what it missed before anything newer goes out. It must not know
sessions' messages, who may be in a room, or how the log is kept. Source: docs/decisions/0012; reliability.md 1 and 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import structlog

from tidewire.accounts.grants import Address
from tidewire.bus.base import Bus, BusStatus, Watch
from tidewire.bus.room_log import Concerns, Entry, Place, RoomLog, announced, channel_of
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, StoreError
from tidewire.core.protocol import Since
from tidewire.hub.followed import Followed, bounds_of
from tidewire.hub.links import trouble_of
from tidewire.hub.posted import VOLATILE, Posted, unpack
from tidewire.hub.posting import Posting
from tidewire.hub.replica import Step
from tidewire.hub.rooms import Rooms
from tidewire.hub.shared_presence import PRESENCE, SharedPresence

_log = structlog.get_logger(__name__)

# Somebody who reloads a page is back by then; leaving and entering a channel costs the broker two commands.
LINGER_S = 5.0
# A message that was lost without any trace on the last position of a room is found after this at most.
COMPARE_EVERY_S = 10.0
# Readings under way at once: enough to keep the broker busy, few enough to answer each within its deadline.
READERS = 64
# A room that could not be read is tried again this often (the log's own circuit is as quick).
RETRY_EVERY_S = 1.0

Spawn = Callable[[Coroutine[None, None, None], str], None]


class SharedRooms:
    """See the module's text.

    Args:
        rooms: This node's rooms; those with a log are filled from here.
        spawn: Runs a coroutine that handles its own errors.

    Attributes:
        before_catch_up: Awaited before messages that were missed are passed on, so that permissions are as new as they;
            raises BusError or StoreError to put it off.
        on_health: Called with the reason when rooms cannot be kept up to date, and with "" when they can again.
        trouble: That reason, or "".
        posting: Publishes into these rooms.
    """

    def __init__(self, rooms: Rooms, log: RoomLog, bus: Bus, clock: Clock, spawn: Spawn) -> None:
        self._rooms = rooms
        self._log = log
        self._bus = bus
        self._clock = clock
        self._spawn = spawn
        self._known: dict[str, Followed] = {}
        self._by_channel: dict[str, Followed] = {}
        self._readers = asyncio.Semaphore(READERS)
        self._watches: list[Watch] = []
        self._compare_at = 0.0
        self._retry_at = 0.0
        self.presence: SharedPresence | None = None
        self.posting = Posting(rooms, log, bus, clock, self._known.get)
        self.before_catch_up: Callable[[], Awaitable[None]] | None = None
        self.on_health: Callable[[str], None] | None = None
        self.trouble = ""
        self.healed = self.catch_ups = self.interrupted = self.unreadable = 0

    def start(self) -> None:
        """Begin to notice breaks."""
        self._watches = [
            self._bus.on_gap(self._gap),
            self._bus.on_state(self._bus_changed),
            self._log.on_connect(self._reconnected),
            self._log.on_state(self._tell_health),
        ]

    def stop(self) -> None:
        """Follow no room any more. Idempotent."""
        for watch in self._watches:
            watch.close()
        self._watches = []
        for shared in list(self._known.values()):
            self._detach(shared)

    def occupied(self) -> dict[str, int]:
        """Return the shared rooms that somebody is in here, with how many connections are."""
        return {room_id: len(shared.room) for room_id, shared in self._known.items() if len(shared.room)}

    def covers(self, address: Address) -> bool:
        """Whether the room's messages come from the log."""
        rules = self._rooms.rules_of(address.family)
        return rules is not None and not rules.fed

    def at_once(self, address: Address, since: Since | None) -> bool:
        """Whether the room can be entered without waiting: it is followed, and knows the place that is asked for."""
        shared = self._known.get(address.room_id)
        if shared is None or shared.behind or shared.opening is not None:
            return False
        room = shared.room
        return since is None or (since.epoch == room.epoch and since.offset <= room.offset)

    async def ready(self, address: Address, since: Since | None = None) -> None:
        """Return when the room can be entered, with everything that was in its log at the time of the call.

        Raises:
            BusError: That cannot be known now.
            Unavailable: There are too many rooms.
        """
        if self.at_once(address, since):
            return
        shared = self._known.get(address.room_id) or self._attach(address)
        if shared.opening is not None:
            # Shielded: one impatient client must not take the room away from the others.
            await asyncio.shield(shared.opening)
        elif not shared.behind:
            # The client has seen more than this node: another node was quicker, or the client is wrong. The log knows.
            self._fall_behind(shared)
        if shared.behind:
            await self._wait_in_step(shared)

    def tick(self, now: float) -> None:
        """Leave rooms that nobody is in, compare places, try again what failed; called a few times a second."""
        for shared in list(self._known.values()):
            if len(shared.room) or shared.opening is not None or self._rooms.attendance.restless(shared.room.room_id):
                shared.empty_since = None
            elif shared.empty_since is None:
                shared.empty_since = now
            elif now - shared.empty_since >= LINGER_S:
                self._detach(shared)
        if now >= self._retry_at:
            self._retry_at = now + RETRY_EVERY_S
            for shared in self._known.values():
                if shared.behind and not shared.under_way and shared.opening is None:
                    self._catch_up_soon(shared)
        if now >= self._compare_at:
            self._compare_at = now + COMPARE_EVERY_S
            self._spawn(self._compare_all(), "rooms-compare")

    def statistics(self) -> dict[str, int]:
        """Return counters, and how many rooms are followed and how many of them are behind."""
        return {
            "degraded": int(bool(self.trouble)),
            "followed": len(self._known),
            "behind": sum(shared.behind for shared in self._known.values()),
            "healed": self.healed,
            "catch_ups": self.catch_ups,
            "interrupted": self.interrupted,
            "unreadable": self.unreadable,
        }

    # ---- following

    def _attach(self, address: Address) -> Followed:
        room = self._rooms.open(address)
        shared = Followed(room, bounds_of(room.rules))
        self._known[address.room_id] = self._by_channel[channel_of(address.room_id)] = shared
        self._rooms.pinned.add(address.room_id)
        shared.opening = asyncio.ensure_future(self._open(shared))
        shared.opening.add_done_callback(_looked_at)
        return shared

    async def _open(self, shared: Followed) -> None:
        try:
            channel = channel_of(shared.room.room_id)
            shared.subscription = self._bus.subscribe(channel, lambda _, payloads: self._receive(shared, payloads))
            await shared.subscription.ready()
            await self._read(shared)
            await self._load_members(shared)
        except BaseException:
            shared.opening = None
            self._detach(shared)
            raise
        shared.opening = None

    def _detach(self, shared: Followed) -> None:
        room_id = shared.room.room_id
        if self._known.get(room_id) is not shared:
            return
        del self._known[room_id], self._by_channel[channel_of(room_id)]
        if shared.subscription is not None:
            shared.subscription.close()
        if shared.opening is not None:
            shared.opening.cancel()
        self._rooms.pinned.discard(room_id)
        if self.presence is not None:
            self.presence.leave(room_id)
        # Its memory ends here: nobody keeps it up to date any more.
        self._rooms.forget(shared.room)

    def _receive(self, shared: Followed, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            entry = announced(payload)
            if entry is not None:
                self._act(shared, shared.replica.announced(entry))
            elif payload.startswith(VOLATILE):
                self._pass_on(shared, unpack(payload[1:]))
            elif payload.startswith(PRESENCE) and self.presence is not None:
                self.presence.receive(shared.room.room_id, payload[1:])
            else:
                self.unreadable += 1

    def _pass_on(self, shared: Followed, message: Posted | None) -> None:
        """Send on what has no place; nobody is promised it."""
        if message is None:
            self.unreadable += 1
        else:
            self._rooms.receive(shared.room, message, offset=None, at=self._clock.monotonic())

    def _act(self, shared: Followed, step: Step) -> None:
        if step.restart is not None:
            self._restart(shared, step.restart, step.lost)
        for entry in step.entries:
            self._deliver(shared, entry)
        if step.read:
            self._fall_behind(shared)

    def _deliver(self, shared: Followed, entry: Entry) -> None:
        message, at = unpack(entry.payload), self._clock.monotonic() - entry.age_s
        if message is not None:
            try:
                self._rooms.receive(shared.room, message, offset=entry.place.offset, at=at)
            except KeyError:
                message = None
        if message is None:
            # Written by a version that knows more than this one: told, like anything that cannot be had.
            self.unreadable += 1
            self._restart(shared, entry.place, "unreadable")

    def _restart(self, shared: Followed, place: Place, lost: str | None) -> None:
        room = shared.room
        if lost is not None:
            same = place.epoch == room.epoch
            told = self._rooms.interrupt(room, to_offset=place.offset if same else room.offset + 1, reason=lost)
            self.interrupted += told
            _log.warning("room_interrupted", room_id=room.room_id, reason=lost, told=told)
        room.restart(place.epoch, place.offset)

    # ---- catching up

    def _gap(self, channel: str) -> None:
        shared = self._by_channel.get(channel)
        if shared is not None:
            self._fall_behind(shared)

    def _bus_changed(self, status: BusStatus) -> None:
        for channel, shared in self._by_channel.items():
            if status.state == "down" or not self._bus.reaches(channel):
                # Nothing is heard any more: what this node remembers may be out of date, and nobody may enter on it.
                self._doubt(shared)
        self._tell_health()

    def _tell_health(self) -> None:
        trouble = trouble_of(self._bus.status(), self._log.status())
        if bool(trouble) != bool(self.trouble) and self.on_health is not None:
            self.on_health(trouble)
        self.trouble = trouble

    def _reconnected(self, concerns: Concerns) -> None:
        """The broker that has come back may not be what it was: every place is compared before it is believed."""
        for room_id, shared in self._known.items():
            if concerns(room_id):
                self._fall_behind(shared)

    def _doubt(self, shared: Followed) -> None:
        shared.behind = True
        shared.in_step.clear()
        # Until the log has been read, what is announced waits: it may be newer than something that is missing.
        shared.replica.begin()

    def _fall_behind(self, shared: Followed) -> None:
        self._doubt(shared)
        if shared.opening is None and not shared.under_way:
            self._catch_up_soon(shared)

    def _catch_up_soon(self, shared: Followed) -> None:
        shared.under_way = True
        self._spawn(self._catch_up(shared), "room-catch-up")

    async def _catch_up(self, shared: Followed) -> None:
        try:
            async with self._readers:
                room_id = shared.room.room_id
                if self._known.get(room_id) is shared and self._bus.reaches(channel_of(room_id)):
                    self.catch_ups += 1
                    # The channel first, then who may hear it, then what was missed: in any other order something
                    # could slip through in between.
                    if shared.subscription is not None:
                        await shared.subscription.ready()
                    if self.before_catch_up is not None:
                        await self.before_catch_up()
                    await self._read(shared)
                    await self._load_members(shared)
        except (BusError, StoreError) as error:
            _log.warning("room_behind", room_id=shared.room.room_id, **error.describe())
        finally:
            shared.under_way = False

    async def _load_members(self, shared: Followed) -> None:
        if self.presence is not None and shared.room.rules.presence:
            await self.presence.load(shared.room.room_id)

    async def _read(self, shared: Followed) -> None:
        """Read the log until nothing is missing. Raises BusError; then the room stays behind."""
        while True:
            shared.behind = False
            shared.replica.begin()
            try:
                reading = await self._log.read(shared.room.room_id, bounds=shared.bounds, since=shared.replica.place)
            except BaseException:
                shared.behind = True
                raise
            step = shared.replica.read(reading)
            again = step.read or shared.behind
            if again:
                shared.replica.begin()
            self._act(shared, Step(step.entries, step.lost, step.restart))
            if not again:
                shared.in_step.set()
                return

    async def _wait_in_step(self, shared: Followed) -> None:
        try:
            async with asyncio.timeout(RETRY_EVERY_S):
                await shared.in_step.wait()
        except TimeoutError:
            raise BusError(
                f"What has been published in {shared.room.room_id} cannot be found out now.",
                required_action="Try again in a moment.",
                will_not="Tidewire will not let you in with messages missing.",
            ) from None

    async def _compare_all(self) -> None:
        await asyncio.gather(*(self._compare(shared) for shared in list(self._known.values())))

    async def _compare(self, shared: Followed) -> None:
        """Find what was lost without a trace, and keep the room's place on the broker alive."""
        async with self._readers:
            place = shared.replica.place
            if shared.behind or place is None or self._known.get(shared.room.room_id) is not shared:
                return
            try:
                reading = await self._log.read(shared.room.room_id, bounds=shared.bounds, since=place)
            except BusError:
                return  # the circuit has told it; the next connect compares again
            step = shared.replica.checked(reading)
            self.healed += len(step.entries)
            self._act(shared, step)


def _looked_at(opening: asyncio.Future[None]) -> None:
    if not opening.cancelled():
        opening.exception()
