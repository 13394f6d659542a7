"""A service whose Postgres is not there: it does not start without it, and it ends without it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.command import run_command
from tests.support.database_site import DatabaseSite, database_site
from tests.support.postgres import postgres_process, stopped_processes
from tests.support.served import settings

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="freezing another account's processes needs the right to signal them"),
    pytest.mark.timeout(240),
]


def test_a_service_does_not_start_without_its_database(tmp_path: Path) -> None:
    """Down at the start: three sentences and exit code 1, in place of a service that can check nobody."""
    with postgres_process() as postgres:
        values = settings(tmp_path, TIDEWIRE_DATABASE_URL=postgres.url.replace("postgres@", "postgres:hush-hush@"))
        unmigrated = run_command("serve", values=values, cwd=tmp_path)
        postgres.stop()
        down = run_command("serve", values=values, cwd=tmp_path)
        postgres.start()
        with stopped_processes(postgres.tree):
            began = time.monotonic()
            mute = run_command("serve", values=values, cwd=tmp_path)
            print(f"  a mute database ended the start after {time.monotonic() - began:.1f} s")  # noqa: T201 - see -s
    assert "tidewire migrate" in unmigrated.stderr
    for done in (unmigrated, down, mute):
        assert done.returncode == 1
        assert "to do:" in done.stderr
        assert "Traceback" not in done.stderr
        assert "hush-hush" not in done.stdout + done.stderr


def test_an_end_without_the_database_is_an_end(tmp_path: Path) -> None:
    """SIGTERM while Postgres is mute: exit code 0, and the rows that could not be written are counted in the log."""
    with database_site(tmp_path) as site, stopped_processes(site.postgres.tree):
        asyncio.run(come_and_go(site))
        began = time.monotonic()
        assert site.service.stop(signal.SIGTERM) == 0
        print(f"  ended after {(time.monotonic() - began) * 1000:.0f} ms")  # noqa: T201 - shown by pytest -s
        assert [line["rows"] for line in site.service.log() if line["event"] == "connection_log_lost"] == [1]


async def come_and_go(site: DatabaseSite) -> None:
    """Open a socket that needs no database, and close it."""
    await site.healthy(False)
    async with site.live({"Origin": site.url}):
        pass
