"""Publishing, losing, resuming, stopping to read in any order, through the hub: complete and in order, or told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.conftest import Client, Stage, turns
from tests.support.history_checker import Entered, Event, Gapped, Left, Message, Published, Violation, check
from tidewire.core import protocol

ROOM = "app:x"
NAMES = ("a", "b", "c")
ACTIONS = ("publish", "publish", "burst", "turn", "open", "open", "lose", "stick", "release", "again", "nap", "night")
# Longer than a vacant room is kept that remembers nothing, and than any room remembers and a round takes.
NAP_S, NIGHT_S = 12.0, 480.0


class Follower:
    """A client that follows one room over any number of connections, and logs it."""

    def __init__(self, stage: Stage, number: int, batch: bool) -> None:
        self._stage = stage
        self._number = number
        self._batch = batch
        self._place: dict[str, Any] | None = None
        self.client: Client | None = None
        self.log: list[Event] = []

    async def open(self) -> None:
        """Connect and enter, if it is not connected."""
        if self.client is None:
            self.client = await self._stage.client(f"user-{self._number}", batch=self._batch)
            self.enter()

    def enter(self) -> None:
        """Enter the room, resuming if there is something to resume."""
        if self.client is not None and self.client.socket.closed is None:
            self.read()
            since = {"since": self._place} if self._place else {}
            self.client.send("subscribe", room_id=ROOM, **since)
            self.read()

    def lose(self) -> None:
        """The connection is cut; what had arrived was read."""
        if self.client is not None:
            self.read()
            self.client.lose()
            self.client = None
            self.log.append(Left())

    def read(self) -> None:
        """Write down what has come."""
        if self.client is None:
            return
        for message in self.client.read():
            if message.get("room_id") != ROOM:
                continue
            if message["type"] == "subscribed":
                self._entered(message)
            elif message["type"] == "gap":
                self.log.append(Gapped(message["epoch"], message["from_offset"], message["to_offset"]))
            elif message["type"] == "room_message":
                self.log.append(Message(message["epoch"], message["offset"], message["data"]["name"]))
                self._place = {"epoch": message["epoch"], "offset": message["offset"]}

    def _entered(self, message: dict[str, Any]) -> None:
        self.log.append(Entered(message["epoch"], message["offset"], message["recovered"], message["replayed"]))
        if not message["recovered"]:
            self._place = {"epoch": message["epoch"], "offset": message["offset"]}


class Play:
    """One run of actions."""

    def __init__(self) -> None:
        self.stage = Stage(outbox_bytes=6_000, messages_per_second=1e6, burst=1e6)
        self.followers = [Follower(self.stage, n + 1, batch=n == 1) for n in range(len(NAMES))]
        self.published: list[Published] = []

    async def act(self, action: str, follower: Follower) -> None:
        """Do one thing."""
        client = follower.client
        if action in ("publish", "burst"):
            for _ in range(12 if action == "burst" else 1):
                self._publish()
                await turns(2 if action == "burst" else 0)
        elif action == "turn":
            await turns(2)
        elif action in ("nap", "night"):
            await self._pass(NAP_S if action == "nap" else NIGHT_S)
        elif action == "open":
            await follower.open()
        elif action == "lose":
            follower.lose()
        elif action == "again":
            follower.enter()
        elif client is not None and action == "stick":
            client.socket.stuck = True
        elif client is not None and action == "release":
            client.socket.release()

    async def finish(self) -> None:
        """Let everybody read, come back if they must, and get everything."""
        for follower in self.followers:
            if follower.client is not None:
                follower.client.socket.release()
                follower.read()
                if follower.client.socket.closed is not None or isinstance(follower.log[-1], Gapped):
                    follower.lose()
            await follower.open()
        await turns()
        for follower in self.followers:
            follower.read()
        await self.stage.hub.stop()

    def violations(self) -> list[Violation]:
        """What the checker says."""
        return check(self.published, dict(zip(NAMES, (f.log for f in self.followers), strict=True)))

    async def _pass(self, seconds: float) -> None:
        """Nobody is there for a while."""
        for each in self.followers:
            each.lose()
        for _ in range(16):
            await self.stage.clock.advance(seconds / 16)

    def _publish(self) -> None:
        name = f"m{len(self.published)}"
        body = protocol.data_body(json.dumps({"name": name, "pad": "x" * 300}).encode())
        done = self.stage.hub.publish(ROOM, body)
        self.published.append(Published(name, "ok", done.epoch, done.offset))


async def _run(actions: Sequence[tuple[str, int]]) -> Play:
    play = Play()
    await play.stage.hub.start()
    for action, number in actions:
        await play.act(action, play.followers[number])
    await play.finish()
    return play


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2)), max_size=40))
def test_nothing_is_lost_doubled_or_reordered_unsaid(actions: list[tuple[str, int]]) -> None:
    """Three followers, both subprotocols, slow readers with gaps: the checker finds nothing."""
    play = asyncio.run(_run(actions))
    assert play.violations() == []


def test_the_runs_reach_the_hard_places() -> None:
    """A stuck reader in a busy room gets a gap, comes back, and has everything in the end."""
    actions = [("open", 0), ("stick", 0), *[("burst", 0)] * 4, ("release", 0), ("again", 0), ("publish", 0)]
    play = asyncio.run(_run(actions))
    log = play.followers[0].log
    assert any(isinstance(event, Gapped) for event in log)
    assert sum(isinstance(event, Message) for event in log) == len(play.published) == 49
    assert play.violations() == []


@pytest.mark.parametrize(
    ("before", "away", "after", "comes_back"),
    [
        ([], "nap", ["publish"], (True, 1)),
        (["publish"], "nap", ["publish"], (True, 1)),
        (["publish"], "night", ["publish"], (False, 0)),
        (["publish"], "night", [], (False, 0)),
        ([], "night", ["publish", "publish"], (True, 2)),
    ],
)
async def test_a_room_that_was_forgotten_meanwhile(
    before: list[str], away: str, after: list[str], comes_back: tuple[bool, int]
) -> None:
    """It is as if it had never gone if no message had a place in it, and another life if one had."""
    play = Play()
    await play.stage.hub.start()
    follower = play.followers[0]
    await follower.open()
    for action in (*before, "turn"):
        await play.act(action, follower)
    follower.read()
    await play.act(away, follower)
    assert (play.stage.hub.room(ROOM) is None) == (not before or away == "night")
    for action in after:
        await play.act(action, follower)
    await play.finish()
    entered = [event for event in follower.log if isinstance(event, Entered)][-1]
    assert (entered.recovered, entered.replayed) == comes_back
    assert play.violations() == []
