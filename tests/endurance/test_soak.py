"""Hundreds of clients come and go; the real server then holds exactly what it held before (bar R19, in small)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.coming_and_going import cycle
from tests.support.crowd import Crowd
from tests.support.house import POOLED, WRITERS, housing, pooled, without_pool
from tests.support.population import populate

NOTHING = ("connections", "users", "requests", "outbox_bytes", "unknown", "deadlines", "failures")
WARM_UP, CYCLES = 40, 300


def test_what_came_and_went_leaves_nothing(tmp_path: Path) -> None:
    """Tasks, files, connections, users, rooms, deadlines and held bytes are back at the baseline."""
    people = populate(tmp_path, 8, role="admin")
    with housing(people, tmp_path) as house:
        sockets = house.holdings()["files"].count("socket")
        list(cycle(house, WARM_UP))
        # The sockets of the warm-up must all be gone.
        # Rooms are kept while somebody may come back to them; in the end none is left.
        first = house.settled(lambda now: not _held(now) and now["files"].count("socket") == sockets)
        assert (_held(first), first["files"].count("socket")) == ({}, sockets)
        baseline = without_pool(first) | {"rooms": 0, "paces": 0}
        with Crowd() as crowd:
            # Somebody who stays must be seen, or the comparison below could not fail.
            house.guests(crowd, 1)
            occupied = house.holdings()
            assert (occupied["connections"], occupied["deadlines"]) == (1, 1)
            assert len(without_pool(occupied)["files"]) == len(baseline["files"]) + 1
            list(cycle(house, CYCLES))
            assert house.metric("tidewire_hub_opened_total") == WARM_UP + CYCLES + 1
        after = house.settled(lambda now: without_pool(now) == baseline)
        assert without_pool(after) == baseline
        assert POOLED <= pooled(first) <= pooled(after) <= POOLED + WRITERS


def _held(now: dict[str, Any]) -> dict[str, Any]:
    """Return what clients have brought and is still there."""
    return {name: now[name] for name in NOTHING if now[name]}
