"""Timing in memory, written now and then, and nothing lost while the database is away."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.analytics_rows import ask
from tests.support.clock import HandClock
from tidewire.analytics.recorder import KEPT_MAX, Recorder
from tidewire.store.bulkhead import BACKGROUND
from tidewire.store.database import Database
from tidewire.store.timing_records import STEP_S
from tidewire.store.timings import Timings

SUM = "SELECT kind, outcome, sum(count), sum(total_ms) FROM analytics_timings GROUP BY kind, outcome ORDER BY outcome"


async def test_what_was_timed_is_written_whatever_the_rounds(both: Database) -> None:
    """Counts and times in the database are those that were given, over steps and over many writes."""
    clock, told, chance = HandClock(), [], random.Random(1)
    recorder = Recorder(Timings(both), clock, node="n1", written=lambda: told.append(1))
    truth = {"2xx": [0, 0.0], "5xx": [0, 0.0]}
    for _ in range(200):
        outcome, took = chance.choice(("2xx", "5xx")), chance.randrange(1, 3_000)
        recorder.add("api", outcome, took / 1000)
        truth[outcome][0] += 1
        truth[outcome][1] += took
        if chance.random() < 0.1:
            await recorder.flush()
            clock.jump(chance.choice((1.0, STEP_S)))
    await recorder.flush()
    rows = await ask(both, SUM)
    assert [(row[1], int(row[2]), round(row[3])) for row in rows] == [
        (name, count, round(total)) for name, (count, total) in truth.items()
    ]
    assert recorder.statistics()["held"] == 0
    assert len(told) == recorder.counts["writes"] > 5
    await recorder.flush()
    assert len(told) == recorder.counts["writes"]


async def test_while_the_database_is_away_it_is_kept_and_counted_once(sqlite_template: bytes, tmp_path: Path) -> None:
    """A write that fails is made up for by a later one, with what has been timed meanwhile."""
    path = tmp_path / "tidewire.db"
    database = Database(f"sqlite:///{path}", BACKGROUND)
    recorder = Recorder(Timings(database), HandClock(), node="n1", written=lambda: None)
    recorder.add("api", "2xx", 0.01)
    # There is no table yet.
    await recorder.flush()
    recorder.add("api", "2xx", 0.03)
    recorder.add("api", "4xx", 0.03)
    await recorder.flush()
    assert (recorder.counts["writes_failed"], recorder.statistics()["held"]) == (2, 2)
    await database.stop()
    _put_back(path, sqlite_template)
    await recorder.flush()
    assert [tuple(row) for row in await ask(database, SUM)] == [("api", "2xx", 2, 40.0), ("api", "4xx", 1, 30.0)]
    await database.stop()


def _put_back(path: Path, content: bytes) -> None:
    for old in path.parent.glob("tidewire.db*"):
        old.unlink()
    path.write_bytes(content)


async def test_what_is_kept_has_an_end(tmp_path: Path) -> None:
    """With a database that never comes back the oldest steps are given up, and that is counted."""
    database, clock = Database(f"sqlite:///{tmp_path}/none.db", BACKGROUND), HandClock()
    recorder = Recorder(Timings(database), clock, node="n1", written=lambda: None)
    for _ in range(KEPT_MAX + 5):
        recorder.add("api", "2xx", 0.01)
        clock.jump(STEP_S)
    await recorder.flush()
    assert (recorder.statistics()["held"], recorder.counts["given_up"]) == (KEPT_MAX, 5)
    await database.stop()
