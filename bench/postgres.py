"""The store: session look-ups, the connection log, the review of logins and API keys, on Postgres and on SQLite.

Postgres runs beside us, over a Unix socket, durable (fsync on), and shares the machine's cores. The baseline is asyncpg
alone on the same server in the same run: prepared statements over eight connections for look-ups, one ``unnest`` of 500
rows for the log. Rates are by the wall clock, because the work is done in several processes. No bar: docs/scale.md
takes these figures as inputs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import structlog
import uvloop
from tests.support.postgres import create_database, drop_database, postgres_process

from bench.measure import RUNS, Figure, Result, repeat
from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.logins import CHUNK
from tidewire.core.clock import SystemClock
from tidewire.monitoring.connection_log import BATCH
from tidewire.store import migrate
from tidewire.store.bulkhead import TOOL
from tidewire.store.connections import Connections
from tidewire.store.database import Database
from tidewire.store.records import ConnectionRecord, SessionRecord
from tidewire.store.sessions import Sessions
from tidewire.store.users import Users

SECRET = "a secret of more than thirty-two bytes, for benches only"
CALLERS = 8
LOOK_UPS = 4_000
LOG_ROWS = 10_000
KEYS = 400
REVIEWS = 64
NOW = 1_700_000_000.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A migrated database with one user and its sessions, and as many connections as there are callers."""
    await migrate.upgrade(url)
    database = Database(url, replace(TOOL, connections=CALLERS))
    await database.start()
    user = await Users(database).create("ada", "x", "user", NOW)
    sessions = Sessions(database)
    for number in range(CHUNK):
        await sessions.add(SessionRecord(f"s{number:023}", digest(number), user.id, NOW, NOW, NOW + 9e9, "", ""))
    try:
        yield database
    finally:
        await database.stop()


def digest(number: int) -> bytes:
    """Return what a session is found by."""
    return number.to_bytes(32, "big")


async def rate(calls: int, call: Callable[[int], Awaitable[object]]) -> float:
    """Make so many calls, CALLERS at a time; return calls per second."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return calls / (time.perf_counter() - began)


def connection(number: int) -> ConnectionRecord:
    """Return a connection of the log."""
    name = f"c{number:015}"
    return ConnectionRecord(name, "bench", 1, "s1", "192.0.2.1", "bench", "/ws", "tidewire.v1", NOW + number, NOW)


async def through_the_store(url: str) -> dict[str, float]:
    """Measure our own code."""
    async with opened(url) as database:
        sessions, log = Sessions(database), Connections(database)
        keys = ApiKeys(database, secret_key=SECRET, clock=SystemClock())
        found: dict[str, float] = {}
        await rate(200, lambda number: sessions.find(digest(number % CHUNK)))
        cpu = time.process_time()
        found["look-ups"] = await rate(LOOK_UPS, lambda number: sessions.find(digest(number % CHUNK)))
        found["look-up CPU"] = (time.process_time() - cpu) / LOOK_UPS * 1e3
        rows = [connection(number) for number in range(LOG_ROWS)]
        began = time.perf_counter()
        for start in range(0, LOG_ROWS, BATCH):
            await log.write(rows[start : start + BATCH], [])
        found["log inserts"] = LOG_ROWS / (time.perf_counter() - began)
        began = time.perf_counter()
        for start in range(0, LOG_ROWS, BATCH):
            await log.write([], rows[start : start + BATCH])
        found["log updates"] = LOG_ROWS / (time.perf_counter() - began)
        ids = [f"s{number:023}" for number in range(CHUNK)]
        cpu = time.process_time()
        found["reviews"] = CHUNK * await rate(REVIEWS, lambda _: sessions.by_ids(ids))
        found["review CPU"] = (time.process_time() - cpu) / CHUNK / REVIEWS * 1e6
        found["keys"] = await rate(KEYS, lambda number: keys.create("ada", f"key {number}", life_s=60.0))
        return found


async def through_asyncpg(url: str) -> dict[str, float]:
    """Do the same with the driver alone, after the store has filled the tables."""
    pool = await asyncpg.create_pool(url, min_size=CALLERS, max_size=CALLERS)
    found: dict[str, float] = {}
    query = "SELECT * FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1"
    await rate(200, lambda number: pool.fetchrow(query, digest(number % CHUNK)))
    found["look-ups"] = await rate(LOOK_UPS, lambda number: pool.fetchrow(query, digest(number % CHUNK)))
    columns = "connection_id, node, user_id, session_id, ip_address, user_agent, path, protocol"
    figures = "connected_at, last_activity, messages_in, messages_out, bytes_in, bytes_out"
    values = "new_id, 'bench', 1, 's1', '192.0.2.1', 'bench', '/ws', 'tidewire.v1', to_timestamp(at), to_timestamp(at)"
    batch = "unnest($1::text[], $2::float8[]) AS batch (new_id, at)"
    insert = f"INSERT INTO websocket_connections ({columns}, {figures}) SELECT {values}, 0, 0, 0, 0 FROM {batch}"  # noqa: S608
    update = (
        "UPDATE websocket_connections SET last_activity = to_timestamp(at), messages_in = 1 "  # noqa: S608 - constants
        f"FROM {batch} WHERE connection_id = new_id"
    )
    for name, statement in (("log inserts", insert), ("log updates", update)):
        began = time.perf_counter()
        for start in range(0, LOG_ROWS, BATCH):
            names = [f"b{number:015}" for number in range(start, start + BATCH)]
            await pool.execute(statement, names, [NOW + number for number in range(BATCH)])
        found[name] = LOG_ROWS / (time.perf_counter() - began)
    ids = [f"s{number:023}" for number in range(CHUNK)]
    many = "SELECT * FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ANY($1)"
    found["reviews"] = CHUNK * await rate(REVIEWS, lambda _: pool.fetch(many, ids))
    await pool.close()
    return found


def measure_on(server: str) -> tuple[Figure, ...]:
    """Take one run on fresh databases."""
    url = uvloop.run(create_database(server))
    postgres, bare = uvloop.run(through_the_store(url)), uvloop.run(through_asyncpg(url))
    uvloop.run(drop_database(server, url))
    with tempfile.TemporaryDirectory() as folder:
        sqlite = uvloop.run(through_the_store(f"sqlite:///{Path(folder) / 'bench.db'}"))
    units = {
        "look-ups": ("session look-ups", "1/s"),
        "log inserts": ("connection log, rows added", "rows/s"),
        "log updates": ("connection log, rows brought up to date", "rows/s"),
        "reviews": ("logins reviewed", "logins/s"),
        "keys": ("API keys made", "1/s"),
    }
    figures = []
    for name, (what, unit) in units.items():
        alone = bare.get(name)
        described = "asyncpg alone" if alone else ""
        figures.append(Figure(f"{what}, Postgres", postgres[name], unit, None, "at least", alone, described))
        figures.append(Figure(f"{what}, SQLite", sqlite[name], unit, None, "at least", postgres[name], "Postgres"))
    figures.append(Figure("CPU of our process for a session look-up, Postgres", postgres["look-up CPU"], "ms"))
    figures.append(Figure("CPU of our process for a login reviewed, Postgres", postgres["review CPU"], "us"))
    return tuple(figures)


def run() -> Result:
    """Measure three times on one server."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with postgres_process("fsync=on", "max_connections=40") as server:
        figures = repeat(lambda: measure_on(server.url))
    parameters = {
        "callers": CALLERS, "look_ups": LOOK_UPS, "log_rows": LOG_ROWS, "rows_per_batch": BATCH,
        "logins_per_review": CHUNK, "reviews": REVIEWS, "keys": KEYS, "runs": RUNS,
    }  # fmt: skip
    return Result("postgres", figures, parameters)


def main() -> int:
    """Print the result."""
    print(json.dumps(run().plain(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
