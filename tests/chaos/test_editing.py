"""Field edits under SIGKILL of nodes and of Postgres: none lost, none done twice, all copies equal (bars R13, R17).

The bounded version of ``python -m bench.chaos edits``. No time is asserted; ceilings only catch a wait without an end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.editing import EditScale, EditStorm
from tests.chaos.plant import plant
from tests.support.seed import seed

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
# The whole of one, on a machine that runs other suites.
CEILING_S = 300.0

# After these, both nodes die once more, at the same moment.
BREAKS = {"kill_node": 1, "kill_postgres": 1, "kill_all_postgres": 1, "kill_backend": 1, "freeze_postgres": 1}
SMALL = EditScale(edits=160, editors=9, viewers=6, quotes=3, rate=100.0, hops=2.0, faults=BREAKS)


async def test_edits_outlive_the_nodes_and_the_database(tmp_path: Path) -> None:
    """Nodes and Postgres die amid edits: each acknowledged one is stored once, and all see the same."""
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=SMALL.users) as built:
        outcome = await EditStorm(built, SMALL, seed(1)).play()
    assert outcome.violations == []
    assert outcome.faults == BREAKS
    assert outcome.ledger.acknowledged >= SMALL.edits
    assert outcome.rows >= SMALL.edits
    # What this is about has happened: answers were lost, edits sent again, and others were quicker.
    assert outcome.ledger.again > 0
    assert outcome.ledger.repeated > 0
    assert outcome.conflicts > 0
    assert outcome.recovered > 0
