"""A client that follows one room over any number of connections and nodes, and logs what it saw for the checker.

It is as simple as a client may be: it keeps the last place, resumes from it, and waits as docs/protocol.md says (full
jitter). It must not know which faults happen.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.wire import Message as Said
from tests.chaos.wire import Refused, Wire, open_wire
from tests.support.history_checker import Entered, Event, Gapped, Left, Message

# docs/protocol.md, "Close codes": backoff with full jitter from 0.5 s to as long as the server says, 20 s until then.
BACKOFF_S, BACKOFF_MAX_S = 0.5, 20.0
# A subscribe that was refused because the broker is away is asked again.
AGAIN_S = 0.25
ENTERED_WITHIN_S = 15.0

Choose = Callable[[random.Random], int | None]


@dataclass
class Sightings:
    """What all followers of a run have seen beside messages.

    Attributes:
        resumes: (when it was lost, seconds from the loss of a connection until the room was entered again).
        told_s: Seconds from the first ``subscribe`` after a welcome or a gap to ``recovered: false``.
        ends: Close codes; 1006 for none.
        degraded, restored: When somebody was told so, by the loop's clock.
        heard: Called with the id of each message that came live or again.
        wrong: What no server may do.
    """

    resumes: list[tuple[float, float]] = field(default_factory=list)
    told_s: list[float] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    degraded: list[float] = field(default_factory=list)
    restored: list[float] = field(default_factory=list)
    connects: int = 0
    heard: Callable[[Follower, str], None] | None = None
    wrong: list[str] = field(default_factory=list)


class Follower:
    """See the module's text.

    Args:
        headers: By port, what this user sends.
        choose: Returns the port of a node that serves, None if there is none.

    Attributes:
        port: Of the node that it was last at.
        rested: Cleared, it stays away after its next end.
    """

    def __init__(
        self,
        room: str,
        headers: Callable[[int], Mapping[str, str]],
        choose: Choose,
        chance: random.Random,
        seen: Sightings,
    ) -> None:
        self.room = room
        self.log: list[Event] = []
        self.port: int | None = None
        self._headers = headers
        self._choose = choose
        self._chance = chance
        self._seen = seen
        self._wire: Wire | None = None
        self._place: dict[str, Any] | None = None
        self._inside = False
        self._failures = 0
        self._backoff_max_s = BACKOFF_MAX_S
        self._lost_at: float | None = None
        self._asked_at: float | None = None
        self._again: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._hopping = False
        self.rested = asyncio.Event()
        self.rested.set()

    @property
    def inside(self) -> bool:
        """Whether it is in its room."""
        return self._inside

    def has(self, epoch: str, offset: int) -> bool:
        """Whether it is inside and has everything up to there, or has been told what it does not get."""
        place = self._place
        return self._inside and place is not None and place["epoch"] == epoch and place["offset"] >= offset

    def hop(self) -> None:
        """Lose the connection in the middle of whatever is going on, and come back at once."""
        if self._wire is not None and self._wire.alive:
            self._hopping = True
            self._wire.cut()

    async def follow(self) -> None:
        """Come, read, be cut, come back, until cancelled."""
        try:
            while True:
                await self.rested.wait()
                await self._live()
                await asyncio.sleep(self._wait_s())
        finally:
            if self._wire is not None:
                self._wire.cut()

    def _wait_s(self) -> float:
        """How long to stay away; nothing else tells a client when to come back."""
        if self._hopping:
            self._hopping = False
            return 0.0
        code = 1006 if self._wire is None else self._wire.code or 1006
        self._wire = None
        if 4000 <= code < 4100:
            return 0.0
        if code >= 4200:
            self._seen.wrong.append(f"closed with {code}")
        ceiling = min(self._backoff_max_s, BACKOFF_S * 2**self._failures)
        self._failures += 1
        return self._chance.uniform(0.0, ceiling)

    async def _live(self) -> None:
        """One connection, to its end."""
        self.port = self._choose(self._chance)
        if self.port is None:
            return
        self._changed.clear()
        try:
            wire = self._wire = await open_wire(self.port, self._headers(self.port), self._take, self._end)
        except Refused as refused:
            self._seen.ends[refused.code] += 1
            return
        except OSError:
            return
        self._seen.connects += 1
        self._enter(wire)
        while wire.alive:
            self._changed.clear()
            await self._changed.wait()

    def _end(self, wire: Wire) -> None:
        if wire is not self._wire:
            return
        if self._inside:
            self._lost_at = asyncio.get_running_loop().time()
        if not self._hopping:
            self._seen.ends[wire.code or 1006] += 1
        self._inside = False
        self._asked_at = None
        self.log.append(Left())
        self._changed.set()

    def _enter(self, wire: Wire) -> None:
        if wire.alive and wire is self._wire:
            if self._asked_at is None:
                self._asked_at = asyncio.get_running_loop().time()
            since = {"since": self._place} if self._place else {}
            wire.say("subscribe", id=1, room_id=self.room, **since)

    def _take(self, wire: Wire, said: Said) -> None:
        kind = said["type"]
        if kind == "connection":
            self._state(said)
        elif kind == "reply":
            self._answer(wire, said)
        elif kind == "error":
            self._seen.wrong.append(str(said))
        elif said.get("room_id") == self.room:
            self._hear(wire, kind, said)

    def _state(self, said: Said) -> None:
        now, status = asyncio.get_running_loop().time(), said["status"]
        if status == "connected":
            self._backoff_max_s = said["reconnect_terms"]["max_delay_ms"] / 1000
        elif status == "degraded":
            self._seen.degraded.append(now)
        elif status == "restored":
            self._seen.restored.append(now)

    def _answer(self, wire: Wire, said: Said) -> None:
        if said["ok"]:
            return
        error = said["error"]
        self._seen.refused[error["code"]] += 1
        if not error["temporary"]:
            self._seen.wrong.append(str(error))
        if self._again is not None:
            # Gaps make it ask once more each; it must not ask for each of them for ever.
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._enter, wire)

    def _hear(self, wire: Wire, kind: str, said: Said) -> None:
        if kind == "subscribed":
            self._entered(said)
        elif kind == "gap":
            self.log.append(Gapped(said["epoch"], said["from_offset"], said["to_offset"]))
            self._inside = False
            self._enter(wire)
        elif kind == "room_message" and "offset" in said:
            self.log.append(Message(said["epoch"], said["offset"], said["data"]))
            self._place = {"epoch": said["epoch"], "offset": said["offset"]}
            if self._seen.heard is not None:
                self._seen.heard(self, said["data"])
        elif kind == "unsubscribed":
            self._seen.wrong.append(str(said))

    def _entered(self, said: Said) -> None:
        now = asyncio.get_running_loop().time()
        self.log.append(Entered(said["epoch"], said["offset"], said["recovered"], said["replayed"]))
        if not said["recovered"]:
            self._place = {"epoch": said["epoch"], "offset": said["offset"]}
            self._seen.told_s.append(now - (self._asked_at or now))
        self._asked_at = None
        self._inside = True
        self._failures = 0
        if self._lost_at is not None:
            self._seen.resumes.append((self._lost_at, now - self._lost_at))
            self._lost_at = None
