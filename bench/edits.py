"""Field edits: from one browser's key to every other browser that looks at the quote, on SQLite and on Postgres.

A real ``tidewire serve``, its database on this machine's disk and synced at each commit (Postgres: ``fsync=on``), and a
load process with a socket for every viewer. The baseline of the latency is a ping's way to its pong over the same
sockets at the same rate, in the same run: what is left is deciding, storing, committing and telling. All share the
machine's cores. Run: ``python -m bench edits``; one database, once: ``python -m bench.edits --only sqlite``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.population import SOCKETS_EACH, Population, settle
from tests.support.postgres import create_database, postgres_process
from tests.support.served import settings

from bench.measure import RUNS, Figure, Result, among_others, cpu_seconds, machine, repeat
from bench.rating import fields
from bench.stand import Program, child_environment, program, url_from_log
from tidewire.quotes.editing import Act, Author, create, index_of
from tidewire.store.database import Database
from tidewire.store.quotes import Quotes

QUOTES = 1_000
VIEWERS = 10
EDITS_PER_S = 200
SECONDS = 20
# Caches are cold and code is unseen at first; people's first edits of a day are not what the bar is about.
WARM_UP_S = 3
# issue 5: edit to other browser.
P99_MS = 50.0
LOAD_TIMEOUT_S = 180.0
DATABASES = ("SQLite", "Postgres")
AUTHOR = Author(1, "bench", "bench")


async def furnish(url: str) -> tuple[Population, list[str]]:
    """Make tables, people and quotes."""
    people = await settle(url, QUOTES * VIEWERS // SOCKETS_EACH, "user")
    database = Database(url)
    try:
        quotes, numbers = Quotes(database, index_of), [str(uuid.uuid4()) for _ in range(QUOTES)]
        values = {name: value for name, value in fields().items() if name != "customer_name"}
        for number in numbers:
            await quotes.add(create(number, {**values, "customer_name": "Bench"}, Act(AUTHOR, round(time.time(), 6))))
    finally:
        await database.stop()
    return people, numbers


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """An empty database that keeps what it has committed."""
    if kind == "SQLite":
        yield f"sqlite:///{folder / 'tidewire.db'}"
        return
    # The last setting of a name counts; the tests' server saves itself the syncs.
    with postgres_process("fsync=on") as server, asyncio.Runner() as runner:
        yield runner.run(create_database(server.url))


@contextmanager
def office(kind: str) -> Iterator[tuple[Program, Program]]:
    """A server with its people inside their quotes; yields the server and the people."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidewire-bench-")))
        url = stack.enter_context(database_url(kind, folder))
        people, quotes = asyncio.run(furnish(url))
        env = child_environment(**settings(folder, TIDEWIRE_DATABASE_URL=url))
        log = folder / "server.log"
        server = stack.enter_context(program("-m", "tidewire", "serve", env=env, log=log))
        port = int(url_from_log(log).rpartition(":")[2])
        load = stack.enter_context(program("-m", "bench.edit_load"))
        load.ask(LOAD_TIMEOUT_S, do="connect", port=port, cookies=people.cookies, each=SOCKETS_EACH)
        load.ask(LOAD_TIMEOUT_S, do="enter", quotes=quotes, viewers=VIEWERS)
        load.ask(LOAD_TIMEOUT_S, do="edit", rate=EDITS_PER_S, seconds=WARM_UP_S)
        yield server, load


def measure(kind: str, server: Program, load: Program) -> tuple[Figure, ...]:
    """Take one run."""
    pong = load.ask(LOAD_TIMEOUT_S, do="ping", rate=EDITS_PER_S, seconds=SECONDS / 2)
    cpu = cpu_seconds(server.pid)
    found = load.ask(LOAD_TIMEOUT_S, do="edit", rate=EDITS_PER_S, seconds=SECONDS)
    cpu = (cpu_seconds(server.pid) - cpu) / found["edits"] * 1000
    print(f"  {kind}: {pong} {found}", file=sys.stderr)
    floor = "ping to pong over the same sockets"
    refused = sum(found["refused"].values()) + found["unanswered"]
    return (
        Figure(f"{kind}: edit to other browser, p99", found["told_p99_ms"], "ms", P99_MS, "below", pong["pong_p99_ms"],
               floor),
        Figure(f"{kind}: edit to other browser, p50", found["told_p50_ms"], "ms", None, "below", pong["pong_p50_ms"],
               floor),
        Figure(f"{kind}: edit to other browser, longest", found["told_max_ms"], "ms", None, "below",
               pong["pong_max_ms"], floor),
        Figure(f"{kind}: edit to its acknowledgement, p99", found["ack_p99_ms"], "ms"),
        Figure(f"{kind}: edits refused or unanswered", refused, "edits", 1, "below"),
        Figure(f"{kind}: updates lost, doubled or of nobody's edit", found["faults"], "edits", 1, "below"),
        Figure(f"{kind}: CPU of the server for an edit and its {VIEWERS} deliveries", cpu, "ms"),
        Figure(f"{kind}: latest that the load sent an edit", found["sender_lag_ms"], "ms"),
    )  # fmt: skip


def run(only: str | None = None, runs: int = RUNS) -> Result:
    """Measure each database."""
    figures: list[Figure] = []
    for kind in DATABASES:
        if only is None or only == kind.lower():
            with office(kind) as (server, load):
                figures += repeat(lambda: measure(kind, server, load), runs)  # noqa: B023 - called at once
    parameters = {
        "quotes": QUOTES, "viewers_per_quote": VIEWERS, "sockets": QUOTES * VIEWERS, "edits_per_s": EDITS_PER_S,
        "seconds": SECONDS, "nodes": 1, "sync_at_commit": True, "runs": runs,
    }  # fmt: skip
    return Result("edits", tuple(figures), parameters)


def main() -> int:
    """Print machine and result."""
    parser = argparse.ArgumentParser(prog="python -m bench.edits", description=__doc__)
    parser.add_argument("--only", choices=[kind.lower() for kind in DATABASES], help="one database")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    result = among_others(lambda: run(options.only, options.runs))
    print(json.dumps({"machine": machine(), "result": result.plain()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
