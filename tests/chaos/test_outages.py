"""One outage at a time under real processes: Valkey frozen, Postgres gone, rights taken away, a node's clients adrift.

Bars R8, R11, R12, R14: the bounded version of ``make chaos``. No time is asserted but by a
ceiling that catches a wait without an end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.outages import Exodus, exodus, freeze, without_storage
from tests.chaos.plant import plant
from tests.chaos.revoking import CODES, Rounds, registrar
from tests.chaos.storm import Scale, Storm
from tests.support.seed import seed

pytestmark = pytest.mark.timeout(400)
CEILING_S = 300.0
SMALL = Scale(publishes=1, clients=40, rooms=4, publishers=8, rate=80.0, hops=0.0)
USERS = range(2, 18)


async def test_a_frozen_valkey_is_told_and_costs_nothing_acknowledged(tmp_path: Path) -> None:
    """SIGSTOP: all clients and /readyz say so, publishes are refused, each answered; SIGCONT: all is there, once."""
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=SMALL.users) as built:
        run = Storm(built, SMALL, seed(1), "freeze")
        found = []

        async def script() -> None:
            await run.ledger.wait(40)
            found.append(await freeze(run, 2.5))

        outcome = await run.play(script)
    assert outcome.violations == []
    assert found[0].refused > 0
    assert set(outcome.refusals) == {"broker_unavailable"}
    # Nobody was disconnected by it, and no publish went without an answer.
    assert outcome.recovered == 0
    assert sum(outcome.unknown.values()) == 0


async def test_without_postgres_messages_flow_and_what_needs_it_is_refused(tmp_path: Path) -> None:
    """Postgres killed: publishes over open sockets go on and reach everybody; an HTTP request gets a storage code."""
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=SMALL.users) as built:
        run = Storm(built, SMALL, seed(1), "storage", steady=True)
        found = []

        async def script() -> None:
            await run.ledger.wait(40)
            found.append(await without_storage(run, "kill", 2.0))

        outcome = await run.play(script)
    assert outcome.violations == []
    assert {code for _, code in found[0].refused} <= {"storage_unavailable", "storage_timeout"}
    assert len(found[0].refused) > 0
    assert len(found[0].during) > 0
    assert outcome.refusals == {}


@pytest.mark.long
async def test_all_clients_of_a_killed_node_come_back_at_once(tmp_path: Path) -> None:
    """SIGKILL of one of two nodes: the other lets all of its clients in and resumes them, refuses none, serves on."""
    scale = Scale(publishes=1, clients=300, rooms=15, publishers=4, rate=20.0, hops=0.0)
    found = Exodus()
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=scale.users, proxied=False) as built:
        run = Storm(built, scale, seed(1), "masses", steady=True, ceiling_s=CEILING_S)
        outcome = await run.play(lambda: exodus(run, found))
    assert outcome.violations == []
    # Everybody has entered once for the first time; whoever was lost has resumed with everything.
    assert outcome.not_recovered == scale.clients
    assert outcome.recovered == len(found.resumed_s) > 0
    # No connection ended but with the node, and nobody was told to come later.
    assert set(outcome.ends) == {1006}
    assert outcome.refusals == {}
    # Those who stayed were served meanwhile.
    assert len(found.delays) > 0


@pytest.mark.long
async def test_what_comes_after_a_revocation_reaches_nobody_on_either_node(tmp_path: Path) -> None:
    """Users disabled and logged out amid publishes, on both nodes and on one that is cut off: nothing from later."""
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=20) as built, registrar(built, seed(1)) as office:
        found = await Rounds(built, office, seed(1)).play(64, USERS)
        cut = await Rounds(built, office, seed(1), room="app:cut").cut_off(USERS, 1)
    assert found.late + cut.late == []
    assert (found.rounds, cut.rounds) == (64, len(USERS))
    assert set(found.codes) == set(CODES.values())
    assert found.before > 0


@pytest.mark.long
async def test_who_can_ask_neither_the_bus_nor_the_database_sends_nothing(tmp_path: Path) -> None:
    """A node that missed a revocation and finds Postgres dead is silent; with Postgres back it goes on, correctly."""
    async with asyncio.timeout(CEILING_S), plant(tmp_path, users=20) as built, registrar(built, seed(1)) as office:
        found = await Rounds(built, office, seed(1), room="app:blind").blind(2, 3)
    assert found.late == []
