"""How long analytics' dashboards take to count 100,000 quotes of 30 days, each by itself, and what it leaves of a core.

``python -m bench.analytics``: a SQLite file made for it; ``--postgres``: a Postgres server started for it.
Quotes are as the product stores them: fields of 1.2 KB, premiums of 3.4 KB with their breakdown, a change for the state
and for each status.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import insert, text
from tests.support.postgres import create_database, postgres_server

from tidewire.store import migrate
from tidewire.store.analytics import Analytics
from tidewire.store.analytics_records import Scope
from tidewire.store.bulkhead import BACKGROUND, TOOL
from tidewire.store.database import Database
from tidewire.store.models import Base

QUOTES, CHANGES = Base.metadata.tables["quotes"], Base.metadata.tables["quote_changes"]
NOW = 1_700_001_234.5
DAY_S = 86_400.0
BATCH = 2_000
# As long as that of a quote with eight coverages.
BREAKDOWN = [{"code": "factor", "label": "y" * 24, "amount": "104.00", "factor": "1.0500", "detail": "z" * 16}] * 30
STATES = ("CA", "NY", "TX", "WA", "FL", "OR", "NV", "AZ", "IL", "OH", "GA", "NC")


def made(chance: random.Random) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Return one quote, and its changes."""
    number, created = str(uuid.UUID(int=chance.getrandbits(128))), NOW - chance.uniform(0, 30 * DAY_S)
    moves = [("state", "CA", created)]
    if chance.random() < 0.6:
        moves.append(("status", "quoted", created + chance.uniform(1, 4_000)))
        if chance.random() < 0.5:
            moves.append(("status", "bound", moves[-1][2] + chance.uniform(1, 9_000)))
    status = moves[-1][1] if len(moves) > 1 else "draft"
    premium = {"amount": f"{chance.randrange(50_000, 250_000) / 100:.2f}", "currency": "USD", "breakdown": BREAKDOWN}
    row: dict[str, object] = {
        "id": number, "status": status, "version": 40, "fields": {f"field_{n}": "x" * 20 for n in range(35)},
        "premium": None if status == "draft" else premium,
        "state": chance.choice(STATES), "product": "personal_auto", "customer": f"Customer {chance.randrange(60_000)}",
        "search": "z" * 60, "created_at": created, "created_by": "ada", "updated_at": created, "expires_at": None,
    }  # fmt: skip
    changes: list[dict[str, object]] = [
        {
            "quote_id": number, "version": version, "field": field, "revision": 0, "before": None, "after": after,
            "at": at, "actor_id": None, "actor": "ada", "op_id": None, "connection": "bench", "reason": "",
        }
        for version, (field, after, at) in enumerate(moves, 1)
    ]  # fmt: skip
    return row, changes


async def fill(database: Database, quotes: int) -> None:
    """Store quotes."""
    chance = random.Random(1)
    for _ in range(0, quotes, BATCH):
        pairs = [made(chance) for _ in range(BATCH)]
        async with database.write() as session:
            await session.execute(insert(QUOTES), [row for row, _ in pairs])
            await session.execute(insert(CHANGES), [change for _, changes in pairs for change in changes])
    async with database.write() as session:
        await session.execute(text("ANALYZE"))


async def measured(name: str, count: Callable[[], Awaitable[object]], runs: int) -> None:
    """Count several times, and print."""
    took, began = [], time.process_time()
    for _ in range(runs):
        at = time.perf_counter()
        await count()
        took.append(time.perf_counter() - at)
    cpu = (time.process_time() - began) / runs
    each = ", ".join(f"{one:.2f}" for one in took)
    print(f"{name}: {statistics.median(took):.2f} s (runs {each}), {cpu:.2f} s of this process's CPU")


async def main(url: str, quotes: int, runs: int, *, there: bool) -> None:
    """Make the database unless it is there, and measure."""
    await migrate.upgrade(url)
    if not there:
        filled = Database(url, TOOL)
        await fill(filled, quotes)
        await filled.stop()
    # As the product counts.
    used = Database(url, BACKGROUND)
    try:
        analytics = Analytics(used)
        for days in (30, 1):
            since = NOW - days * DAY_S
            await measured(f"quotes, {days} days", lambda at=since: analytics.quotes(Scope(at)), runs)
            await measured(f"conversion, {days} days", lambda at=since: analytics.conversion(Scope(at)), runs)
        scope = Scope(NOW - 30 * DAY_S, state="CA")
        await measured("quotes of one state, 30 days", lambda: analytics.quotes(scope), runs)
        await measured("conversion of one state, 30 days", lambda: analytics.conversion(scope), runs)
    finally:
        await used.stop()


def run() -> None:
    """Read the command line, and run once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", help="a SQLite file that is made once and used again")
    parser.add_argument("--postgres", action="store_true")
    asked = parser.parse_args()
    if asked.postgres:
        with postgres_server() as server:
            url = asyncio.run(create_database(server))
            asyncio.run(main(url, asked.quotes, asked.runs, there=False))
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(asked.keep) if asked.keep else Path(folder) / "bench.db"
        asyncio.run(main(f"sqlite:///{place}", asked.quotes, asked.runs, there=place.exists()))


if __name__ == "__main__":
    run()
