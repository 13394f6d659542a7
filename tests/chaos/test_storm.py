"""Real processes under SIGKILL, SIGSTOP and cuts: nothing acknowledged is lost, doubled or reordered (bars R1, R2).

The bounded version of ``make chaos``. No time is asserted; ceilings only catch a wait without an end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.losses import FORGETFUL, SLEEPERS, Losses
from tests.chaos.plant import plant
from tests.chaos.storm import Outcome, Scale, Storm
from tests.support.history_checker import Entered
from tests.support.seed import seed
from tests.support.valkey_cluster import cluster
from tidewire.bus.room_log import channel_of

pytestmark = pytest.mark.timeout(400)
# The whole of one, on a machine that runs other suites.
CEILING_S = 300.0

SMALL = Scale(publishes=1_500, clients=60, rooms=5, publishers=6, rate=150.0, hops=4.0)
BREAKS = {
    "kill_node": 3,
    "kill_valkey": 4,
    "kill_postgres": 1,
    "freeze_valkey": 1,
    "half_open": 1,
    "cut": 1,
    "cut_within": 1,
    "delay": 1,
}
CREW_BREAKS = {"kill_worker": 2, "kill_feed": 1, "kill_valkey": 1, "stop_postgres": 1}


async def test_two_nodes_die_and_so_does_what_they_stand_on(tmp_path: Path) -> None:
    """Nodes, a durable Valkey and Postgres killed, frozen and cut off: all recovered, once, in order, in one epoch."""
    scale = replace(SMALL, faults=BREAKS)
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=scale.users) as built:
        check(await Storm(built, scale, seed(1)).play(), scale)


@pytest.mark.long
async def test_the_workers_of_a_supervisor_and_its_feed_die(tmp_path: Path) -> None:
    """Two workers on one port and a feed, each killed and started again by their supervisor: the same promise."""
    scale = replace(SMALL, publishes=500, clients=30, faults=CREW_BREAKS)
    async with asyncio.timeout(CEILING_S), plant(tmp_path, crew=True, users=scale.users) as built:
        check(await Storm(built, scale, seed(1), "crew").play(), scale)
        events = Counter(line["event"] for line in built.nodes[0].log())
        assert events["worker_ended"] == 3


async def test_a_valkey_that_loses_is_told_to_everybody(tmp_path: Path) -> None:
    """FLUSHALL, restart from nothing, failover with a loss, trimmed history: nobody is told that it has everything."""
    scale = Scale(1, clients=24, rooms=2, publishers=20, rate=400.0, hops=2.0)
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=scale.users, valkey=FORGETFUL) as built:
        run = Storm(built, scale, seed(1), "loss")
        losses = Losses(run, seed(1))
        outcome = await run.play(lambda: losses.script(1))
    assert outcome.violations == []
    assert losses.done == {"flush": 1, "restart": 1, "failover": 1, "trim": 1}
    # Each loss was told to each client; the trimmed room's to those who were away.
    assert outcome.not_recovered >= 4 * scale.clients + SLEEPERS


def check(outcome: Outcome, scale: Scale) -> None:
    """Every fault has happened, and nobody who resumed was told that something is gone, because nothing is."""
    assert outcome.violations == []
    assert outcome.faults == scale.faults
    assert outcome.acknowledged >= scale.publishes
    assert outcome.epochs == scale.rooms
    assert outcome.not_recovered == scale.clients
    assert outcome.recovered > 0
    assert outcome.again > 0


@pytest.mark.long
async def test_workers_on_a_cluster_share_rooms_and_outlive_a_shards_primary(tmp_path: Path) -> None:
    """``serve --workers 2`` on three shards, one killed for good: its replica takes over, its rooms are told, no other.

    A worker is killed too, so that clients of one room come back to the other worker and find what they missed there.
    """
    scale = Scale(1, clients=36, rooms=6, publishers=6, rate=80.0, hops=2.0)
    async with (
        asyncio.timeout(CEILING_S),
        cluster(replicas=1) as shards,
        plant(tmp_path, crew=True, users=scale.users, broker=shards) as built,
    ):
        run = Storm(built, scale, seed(1), "crew")
        doomed = {room for room in run.rooms if shards.of(channel_of(room)) is shards.servers[0]}
        assert 0 < len(doomed) < len(run.rooms)

        async def script() -> None:
            await run.ledger.wait(100)
            await run.faults.happen("kill_worker")
            await run.ledger.wait(run.ledger.acknowledged + 100)
            before = {room: run.ledger.epoch(room) for room in doomed}
            shards.servers[0].kill()
            while any(run.ledger.epoch(room) in (epoch, None) for room, epoch in before.items()):
                await run.ledger.wait(run.ledger.acknowledged + 1)

        outcome = await run.play(script)
        assert {line["event"] for line in built.nodes[0].log()} >= {"worker_ended", "redis_topology"}
    assert outcome.violations == []
    assert outcome.epochs == len(run.rooms) + len(doomed)
    # Each was told once when it first came, and those of the shard's rooms once more; all others have resumed.
    told = {
        follower: sum(isinstance(e, Entered) and not e.recovered for e in follower.log) for follower in run.followers
    }
    assert told == {follower: 1 + (follower.room in doomed) for follower in run.followers}
    assert outcome.recovered > 0
