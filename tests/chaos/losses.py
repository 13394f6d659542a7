"""A Valkey that loses what it confirmed, in every way it can; whoever resumes must be told, each time (bar R2).

FLUSHALL, a restart from nothing, a failover to a replica that had not got everything, a history that was trimmed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from tests.chaos.follower import Follower
from tests.chaos.storm import Storm
from tests.support.history_checker import Entered
from tests.support.valkey import BareClient, ValkeyProcess
from tests.support.waiting import eventually

# More than a room remembers (hub/room.py, RoomRules).
FORGOTTEN = 1_050
SLEEPERS = 3
# A replica is sent everything at once, and not after 5 s.
FORGETFUL = {"repl_diskless_sync_delay": "0"}
CEILING_S = 120.0


class Losses:
    """Ways to lose, for one storm over a Valkey that keeps nothing on disk.

    Attributes:
        done: How often each has happened.
    """

    def __init__(self, storm: Storm, seed: int) -> None:
        self._storm = storm
        self._chance = random.Random(f"{seed}/losses")
        self.done: Counter[str] = Counter()
        self._marks: dict[Follower, int] = {}

    async def script(self, rounds: int) -> None:
        """Lose in each way that often, shuffled; after each, everybody is back before the next."""
        ways = [self.flush, self.restart, self.failover, self.trim] * rounds
        self._chance.shuffle(ways)
        for way in ways:
            await self._storm.ledger.wait(self._storm.ledger.acknowledged + 40)
            async with asyncio.timeout(CEILING_S):
                await way()
                await self._everybody_told()
            self.done[way.__name__] += 1

    async def flush(self) -> None:
        """FLUSHALL: no connection breaks."""
        self._note()
        assert await BareClient(self._storm.plant.valkey.port).command("FLUSHALL") == b"+OK"

    async def restart(self) -> None:
        """kill -9, and a start from nothing."""
        self._note()
        await self._storm.plant.kill_valkey()

    async def failover(self) -> None:
        """The replica stands still, the primary takes more and dies, the replica becomes the primary."""
        plant = self._storm.plant
        old, replica = plant.valkey, ValkeyProcess(**FORGETFUL)
        await asyncio.to_thread(replica.start)
        client = BareClient(replica.port)
        assert await client.command("REPLICAOF", "127.0.0.1", str(old.port)) == b"+OK"
        await eventually(lambda: _in_step(client))
        replica.freeze()
        await self._storm.ledger.wait(self._storm.ledger.acknowledged + 40)
        self._note()
        old.kill()
        replica.thaw()
        assert await client.command("REPLICAOF", "NO", "ONE") == b"+OK"
        plant.use_valkey(replica)

    async def trim(self) -> None:
        """Some are away while their room gets more than it remembers."""
        storm = self._storm
        room = self._chance.choice(storm.rooms)
        sleepers = [follower for follower in storm.followers if follower.room == room][:SLEEPERS]
        for follower in sleepers:
            follower.rested.clear()
            follower.hop()
        before = len(storm.ledger.published.get(room, ()))
        while len(storm.ledger.published.get(room, ())) < before + FORGOTTEN:
            await storm.ledger.wait(storm.ledger.acknowledged + 1)
        self._marks = {follower: len(follower.log) for follower in sleepers}
        for follower in sleepers:
            follower.rested.set()

    def _note(self) -> None:
        """From here on, everybody has something to be told."""
        self._marks = {follower: len(follower.log) for follower in self._storm.followers}

    async def _everybody_told(self) -> None:
        """Return when each has been answered ``recovered: false``; one that never is ends the run by its ceiling."""
        untold = dict(self._marks)
        while untold:
            untold = {follower: mark for follower, mark in untold.items() if not _told(follower, mark)}
            # Hundreds of logs: looked at from outside.
            await asyncio.sleep(0.02)


def _told(follower: Follower, mark: int) -> bool:
    return any(isinstance(event, Entered) and not event.recovered for event in follower.log[mark:])


async def _in_step(client: BareClient) -> bool:
    """Whether a replica has everything."""
    facts = (await client.command("INFO", "replication")).split()
    return b"master_link_status:up" in facts and b"master_sync_in_progress:0" in facts
