"""The room log of one process: what the Redis one does, in memory, announced on any bus. It must not know hubs.

Several hubs of one process may share it (tests do); a single hub needs none, its rooms remember by themselves.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from tidewire.bus.base import Bus, Watch
from tidewire.bus.fanout import Watches
from tidewire.bus.room_log import (
    Appended,
    Bounds,
    Concerns,
    Entry,
    LogStatus,
    Place,
    Reading,
    announce,
    channel_of,
    judge,
)
from tidewire.core.clock import Clock

# As long as a client may take to ask again for the outcome of a publish.
KEY_AGE_S = 300.0


class _Kept:
    """One room."""

    def __init__(self) -> None:
        self.epoch = f"e-{secrets.token_hex(6)}"
        self.offset = 0
        self.size_bytes = 0
        self.entries: deque[tuple[int, float, bytes]] = deque()
        self.keys: dict[str, tuple[int, float]] = {}

    @property
    def place(self) -> Place:
        return Place(self.epoch, self.offset)

    def trim(self, bounds: Bounds, now: float) -> None:
        while self.entries and (
            len(self.entries) > bounds.messages
            or self.size_bytes > bounds.bytes
            or now - self.entries[0][1] > bounds.age_s
        ):
            self.size_bytes -= len(self.entries.popleft()[2])
        while self.keys and now - next(iter(self.keys.values()))[1] > KEY_AGE_S:
            del self.keys[next(iter(self.keys))]


class MemoryRoomLog:
    """Implements bus.room_log.RoomLog inside one process."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._rooms: dict[str, _Kept] = {}
        self._connects: Watches[[Concerns]] = Watches("connect")
        self._states: Watches[[]] = Watches("circuit")
        self._since = clock.time()
        self._calls = 0
        self._state_losses = 0

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def append(
        self, room_id: str, payload: bytes, *, bounds: Bounds, key: str | None = None, known: Place | None = None
    ) -> Appended:
        """Keep and announce ``payload``. Raises BusError if the bus does not take it; then it is not kept."""
        self._calls += 1
        room, now = self._open(room_id, known), self._clock.monotonic()
        room.trim(bounds, now)
        if key is not None and key in room.keys:
            return Appended(Place(room.epoch, room.keys[key][0]), repeated=True)
        place = Place(room.epoch, room.offset + 1)
        room.offset += 1
        room.entries.append((place.offset, now, payload))
        room.size_bytes += len(payload)
        if key is not None:
            room.keys[key] = (place.offset, now)
        room.trim(bounds, now)
        self._bus.publish(channel_of(room_id), [announce(place, payload)])
        return Appended(place)

    async def read(self, room_id: str, *, bounds: Bounds, since: Place | None = None) -> Reading:
        """Return what came after ``since``, or all that is kept."""
        self._calls += 1
        room, now = self._open(room_id, since), self._clock.monotonic()
        room.trim(bounds, now)
        kept = [Entry(Place(room.epoch, offset), payload, now - at) for offset, at, payload in room.entries]
        return judge(room.place, kept, since)

    def on_connect(self, notify: Callable[[Concerns], None]) -> Watch:
        """Register ``notify``; it is never called, because nothing connects."""
        return self._connects.add(notify)

    def on_state(self, notify: Callable[[], None]) -> Watch:
        """Register ``notify``; it is never called, because memory is always there."""
        return self._states.add(notify)

    def status(self) -> LogStatus:
        """Return the counters."""
        return LogStatus(
            state="up", circuit="closed", since=self._since, calls=self._calls, state_losses=self._state_losses
        )

    def forget_everything(self) -> None:
        """Lose all rooms, as a broker without its data does."""
        self._rooms.clear()

    def _open(self, room_id: str, known: Place | None) -> _Kept:
        room = self._rooms.get(room_id)
        if room is not None and known is not None and known.epoch == room.epoch and known.offset > room.offset:
            self._state_losses += 1
            room = None
        if room is None:
            room = self._rooms[room_id] = _Kept()
        return room
