"""A rolling restart under load, as real processes: two workers, a real Valkey, both clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.command import Service
from tests.support.population import populate
from tests.support.rolling_run import restart, rolling_run
from tests.support.served import settings
from tests.support.valkey import ValkeyProcess, valkey

pytestmark = pytest.mark.long

__all__ = ["valkey"]

ROOMS = 5
PYTHON, NODE = 6, 3
PER_S = 100.0


# It takes 17 s on a quiet machine; most of it are the four starts of a worker, which take long on a crowded one.
@pytest.mark.timeout(150)
async def test_nobody_notices_a_rolling_restart(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """SIGHUP while 100 messages/s flow: every acknowledged one reaches all, once, in order; no error, no 1006."""
    people = await asyncio.to_thread(populate, tmp_path, 3, role="admin")
    values = settings(tmp_path, TIDEWIRE_REDIS_URL=valkey.url)
    with Service("serve", "--workers", "2", "--no-feed", "--json", values=values, cwd=tmp_path) as service:
        port = int((await asyncio.to_thread(service.announcement))["url"].rpartition(":")[2])
        async with rolling_run(port, people, rooms=ROOMS, python=PYTHON, node=NODE, per_s=PER_S) as run:
            await restart(service, 2)
    assert run.violations() == []
    assert run.all_troubles() == []
    # Each worker was replaced, so whoever was connected was sent away at least once, and kindly.
    assert set(run.endings()) == {(4000, "drain")}
    assert all(follower.links for follower in run.followers)
    assert run.acknowledged() > 100
