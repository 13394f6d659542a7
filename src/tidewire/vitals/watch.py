"""Sends somebody's room what they watch, in their rhythm, for as long as they are in it.

A user's connections to one node share a room: it shows all that any of them watches, at the shortest interval. What
two rooms show is gathered and encoded once. Nothing runs while nobody watches. It must not know what is shown.
Source: contract.md section 5, "Rooms", "Features".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from tidewire.accounts.grants import require_enter, resolve
from tidewire.core.clock import Clock
from tidewire.core.errors import NotFound
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.hub import Hub
from tidewire.hub.session import Session
from tidewire.vitals.rules import require_interval, room_of
from tidewire.vitals.wire import Everybody, Watching, joined

TICK_S = 1.0
# A round that comes a moment early is still this second's.
SLACK_S = 0.2

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was gathered at once.

    Attributes:
        pieces: Item -> its part of the message, encoded.
    """

    everybody: Everybody
    pieces: Mapping[str, bytes]


class Show(Protocol):
    """Something that can be watched."""

    family: str
    kind: str
    member: str

    async def gather(self, items: frozenset[str]) -> Shown:
        """Return all of ``items``."""
        ...


@dataclass(slots=True)
class _Room:
    """Who watches in a room; ``by``: connection -> its interval and items."""

    by: dict[str, tuple[float, frozenset[str]]]
    shown_at: float = float("-inf")

    @property
    def interval_s(self) -> float:
        return min(interval_s for interval_s, _ in self.by.values())

    @property
    def items(self) -> frozenset[str]:
        return frozenset[str]().union(*(items for _, items in self.by.values()))


class Watch:
    """See the module's text. Make it before the hub starts."""

    def __init__(self, hub: Hub, clock: Clock, show: Show) -> None:
        self._hub = hub
        self._clock = clock
        self._show = show
        self._rooms: dict[str, _Room] = {}
        self._loop = WatchedLoop(f"watch-{show.kind}", TICK_S, self.tick, clock, aligned=True)
        self.shown = 0

    def start(self) -> None:
        """Begin to keep time."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self._loop.stop()

    @property
    def watchers(self) -> int:
        """How many connections watch."""
        self._sweep()
        return sum(len(room.by) for room in self._rooms.values())

    def admit(self, session: Session) -> str:
        """Return somebody's own room. Raises Forbidden if they may not watch."""
        room_id = room_of(self._show.family, session.principal)
        require_enter(session.principal, resolve(room_id))
        return room_id

    async def begin(self, session: Session, items: frozenset[str], interval_s: float) -> bytes:
        """Let somebody watch; return what their room shows from now on. Raises RequestError."""
        room_id = self.admit(session)
        require_interval(interval_s)
        await self._hub.features.enter(session, room_id)
        room = self._rooms.setdefault(room_id, _Room({}))
        room.by[session.connection_id] = (interval_s, items)
        room.shown_at = float("-inf")
        self._hub.features.spawn(self._show_soon(), f"show-{self._show.kind}")
        return msgspec.json.encode(Watching(room_id=room_id, interval_s=room.interval_s, items=sorted(room.items)))

    def end(self, session: Session) -> bytes:
        """Somebody watches no more. Raises NotFound if they did not."""
        room_id = room_of(self._show.family, session.principal)
        if not self._hub.features.inside(session, room_id):
            raise NotFound(
                "You are not watching.",
                required_action="Nothing; or start first.",
                will_not="Tidewire will not send you anything of it.",
            )
        self._forget(room_id, session.connection_id)
        self._hub.features.leave(session, room_id, "requested", "")
        return b""

    async def tick(self) -> None:
        """Show what is due; called every second."""
        now = self._clock.monotonic()
        self._sweep()
        due = {name: room for name, room in self._rooms.items() if now - room.shown_at >= room.interval_s - SLACK_S}
        if not due:
            return
        for room in due.values():
            room.shown_at = now
        found = await self._show.gather(frozenset[str]().union(*(room.items for room in due.values())))
        # Whoever lost the right to look while the nodes were asked is out of the room, and gets nothing.
        self._sweep()
        for name, room in due.items():
            if self._rooms.get(name) is room:
                self._publish(name, room, found)

    # ---- inside

    async def _show_soon(self) -> None:
        """Whoever comes sees something at once."""
        try:
            await self.tick()
        except Exception:  # noqa: BLE001 - a task's root: the loop's next round shows it, or fails and says so
            _log.exception("show_failed", kind=self._show.kind)

    def _publish(self, room_id: str, room: _Room, found: Shown) -> None:
        common = {**msgspec.structs.asdict(found.everybody), "interval_s": room.interval_s}
        pieces = {name: found.pieces[name] for name in sorted(room.items) if name in found.pieces}
        self._hub.publish(room_id, joined(common, self._show.member, pieces), kind=self._show.kind, key=self._show.kind)
        self.shown += 1

    def _sweep(self) -> None:
        for room_id, room in list(self._rooms.items()):
            for connection_id in [each for each in room.by if not self._hub.features.connected(each, room_id)]:
                self._forget(room_id, connection_id)

    def _forget(self, room_id: str, connection_id: str) -> None:
        room = self._rooms.get(room_id)
        if room is not None:
            room.by.pop(connection_id, None)
            if not room.by:
                del self._rooms[room_id]
