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
from tests.support.seed import seed

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
