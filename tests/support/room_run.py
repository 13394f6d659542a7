"""Drives one room with publishers and clients that come, go and resume, and logs it for the history checker.

Clients are as simple as a client may be: they believe ``subscribed``, keep the last place, and resume from it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.history_checker import Entered, Event, Left, Message, Published
from tidewire.core.protocol import Since, data_body
from tidewire.hub.room import EVERYBODY, Room, RoomRules

RULES = RoomRules(history_messages=8, history_age_s=1_000.0, history_bytes=1_000_000)
CLIENTS = ("a", "b", "c")
STEPS = ("publish", "flush", "connect-a", "connect-b", "connect-c", "cut-a", "cut-b", "cut-c", "restart")


class RoomRun:
    """One run.

    Args:
        make: Makes the room; a faulty one in the checker's own test.
    """

    def __init__(self, make: Callable[[str, RoomRules, str], Room[str]] = Room) -> None:
        self._make = make
        self._lives = 0
        self._numbers = 0
        self.now = 0.0
        self.published: list[Published] = []
        self.logs: dict[str, list[Event]] = {name: [] for name in CLIENTS}
        self.inside: set[str] = set()
        self.place: dict[str, Since] = {}
        self.room = self._new_room()

    def _new_room(self) -> Room[str]:
        self._lives += 1
        return self._make("app:x", RULES, f"e-{self._lives}")

    def step(self, what: str) -> None:
        """Do one thing."""
        self.now += 1.0
        if what == "publish":
            self._publish()
        elif what == "flush":
            self._flush()
        elif what == "restart":
            for client in list(self.inside):
                self._cut(client)
            self.room = self._new_room()
        else:
            kind, _, client = what.partition("-")
            if kind == "connect":
                self._connect(client)
            else:
                self._cut(client)

    def finish(self) -> None:
        """Let everybody come back and everything arrive."""
        for client in CLIENTS:
            self._connect(client)
        self._flush()

    def _publish(self) -> None:
        self._numbers += 1
        name = f"m{self._numbers}"
        done = self.room.publish(
            data_body(json.dumps(name).encode()), kind="room_message", now=self.now, timestamp=self.now
        )
        self.published.append(Published(name, "ok", self.room.epoch, done.offset))

    def _flush(self) -> None:
        for share in self.room.flush():
            for client in share.members:
                self._take(client, [publication.encoded[share.audience] for publication in share.publications])
        self.room.settle()

    def _connect(self, client: str) -> None:
        if client in self.inside:
            return
        self.inside.add(client)
        recovery = self.room.join(client, audience=EVERYBODY, batch=False, since=self.place.get(client), now=self.now)
        offset = self.room.offset
        self.logs[client].append(
            Entered(self.room.epoch, offset, recovery.recovered, len(recovery.messages) if recovery.recovered else 0)
        )
        if not recovery.recovered:
            self.place[client] = Since(self.room.epoch, offset)
        self._take(client, recovery.messages)

    def _cut(self, client: str) -> None:
        if client in self.inside:
            self.inside.discard(client)
            self.room.leave(client)
            self.logs[client].append(Left())

    def _take(self, client: str, messages: list[bytes]) -> None:
        for encoded in messages:
            message: dict[str, Any] = json.loads(encoded)
            self.logs[client].append(Message(message["epoch"], message["offset"], message["data"]))
            self.place[client] = Since(message["epoch"], message["offset"])


def random_run(make: Callable[[str, RoomRules, str], Room[str]], seed: int, steps: int = 80) -> RoomRun:
    """Return a finished run whose steps follow from ``seed``; publishing is the most frequent of them."""
    chance = random.Random(seed)
    run = RoomRun(make)
    for _ in range(steps):
        run.step(chance.choices(STEPS, weights=(40, 20, 8, 8, 8, 5, 5, 5, 1))[0])
    run.finish()
    return run
