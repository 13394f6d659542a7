"""Real processes under SIGKILL, SIGSTOP and cuts: nothing acknowledged is lost, doubled or reordered (bars R1, R2).

The bounded version of ``make chaos``. No time is asserted; ceilings only catch a wait without an end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.plant import plant
from tests.chaos.storm import Outcome, Scale, Storm
from tests.support.seed import seed

pytestmark = pytest.mark.timeout(400)
# The whole of it, on a machine that runs other suites.
CEILING_S = 300.0

BREAKS = {
    "kill_node": 4,
    "kill_valkey": 4,
    "kill_postgres": 1,
    "stop_postgres": 1,
    "freeze_valkey": 1,
    "half_open": 2,
    "cut": 1,
    "cut_within": 1,
    "delay": 1,
}
SMALL = Scale(publishes=2_000, clients=60, rooms=5, publishers=6, rate=150.0, hops=4.0)


async def test_two_nodes_die_and_so_does_what_they_stand_on(tmp_path: Path) -> None:
    """Nodes, a durable Valkey and Postgres killed, frozen and cut off: all recovered, once, in order, in one epoch."""
    outcome = await storm(tmp_path, BREAKS)
    assert outcome.violations == []
    # Each room has kept its epoch, and nobody who resumed was told that something is gone.
    assert outcome.epochs == SMALL.rooms
    assert outcome.not_recovered == SMALL.clients
    assert outcome.recovered > 0
    assert outcome.again > 0


async def storm(folder: Path, breaks: dict[str, int]) -> Outcome:
    """Run one to its end; every fault has happened."""
    scale = Scale(**{**vars(SMALL), "faults": breaks})
    async with plant(folder, users=scale.users) as built:
        async with asyncio.timeout(CEILING_S):
            outcome = await Storm(built, scale, seed(1)).play()
    assert outcome.faults == breaks
    assert outcome.acknowledged >= scale.publishes
    return outcome
