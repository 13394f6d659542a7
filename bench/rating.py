"""Rating: premiums worked out per second by the engine alone, and whole calculations by a real server.

The engine's baseline is the same multiplications, roundings and sums in plain Decimal, with the factors at hand: what
is left is looking factors up, checking facts and keeping the breakdown. The service's baseline is reading the same
quotes over the same connections. The client is this process and shares the machine with the server. No bar.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx2
import websockets

from bench.measure import RUNS, Figure, Result, among_others, cpu_seconds, machine, percentile, repeat
from bench.stand import Stand, stand
from tidewire.quotes.plan import Plan
from tidewire.quotes.plan_shelf import SHIPPED, load_plan
from tidewire.quotes.rating import CENT, Facts, Rated, rate

RATINGS = 3_000
LOADS = 5
CALLERS = 8
QUOTES_PER_CALLER = 4
CALCULATIONS = 400
# The stand wants a feed that moves; this is next to nothing.
TICKS_PER_S = 30


def facts_of(plan: Plan, chance: random.Random) -> Facts:
    """Facts that a plan rates: every coverage, other values each time."""
    return Facts(
        state=chance.choice(sorted(plan.states)),
        measures={name: chance.randrange(span.low, span.below) for name, span in plan.ranges.items()},
        coverages={code: chance.choice(list(part.options)) for code, part in plan.coverages.items()},
        discounts=frozenset(code for code in plan.discounts if chance.random() < 0.5),
    )


def plainly(factors: list[list[Decimal]], fee: Decimal) -> Decimal:
    """The same arithmetic with the factors at hand."""
    total = fee
    for chain in factors:
        amount = chain[0]
        for factor in chain[1:]:
            amount *= factor
        total += amount.quantize(CENT, rounding=ROUND_HALF_UP)
    return total


def chains(rated: Rated) -> list[list[Decimal]]:
    """Base rate and factors of each coverage."""
    return [
        [part.steps[0].running, *(step.factor for step in part.steps[1:] if step.factor is not None)]
        for part in rated.coverages
    ]


def per_second(work: Callable[[], object], count: int) -> float:
    """How often a second ``work``, which does it ``count`` times, does it; CPU time of this process."""
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def engine() -> tuple[Figure, ...]:
    """Take one run of the engine alone."""
    plan, chance = load_plan(SHIPPED / "personal_auto.toml"), random.Random(1)
    given = [facts_of(plan, chance) for _ in range(RATINGS)]
    rated = [rate(plan, facts) for facts in given]
    ready = [chains(one) for one in rated]
    for one, factors in zip(rated, ready, strict=True):
        assert plainly(factors, plan.policy_fee) + one.adjustment == one.total
    plain = per_second(lambda: [plainly(factors, plan.policy_fee) for factors in ready], RATINGS)
    whole = per_second(lambda: [rate(plan, facts) for facts in given], RATINGS)
    loads = per_second(lambda: [load_plan(SHIPPED / "personal_auto.toml") for _ in range(LOADS)], LOADS)
    baseline = "the same Decimal arithmetic alone"
    return (
        Figure("premiums of five coverages with breakdown, one core", whole, "1/s", None, "at least", plain, baseline),
        Figure("reading and checking the shipped plan", 1000 / loads, "ms CPU"),
    )


@dataclass
class Caller:
    """One client: an HTTP connection, a socket, and the quotes that it calculates."""

    http: httpx2.AsyncClient
    socket: websockets.ClientConnection
    quotes: list[str]
    refused: int = 0

    async def calculate(self, number: int) -> float:
        """Ask for a calculation and wait until its end has come over the socket; return milliseconds."""
        began = time.perf_counter()
        path = f"/api/v1/quotes/{self.quotes[number % len(self.quotes)]}/calculate"
        while (answer := await self.http.post(path)).status_code == 503:
            # The database was busy for more than its deadline: on a machine that others use it may be.
            self.refused += 1
        assert answer.status_code == 202, answer.text
        wanted = answer.json()["calculation_id"]
        while True:
            for line in str(await self.socket.recv()).splitlines():
                if wanted in line and '"ended":true' in line:
                    assert '"stage":"done"' in line, line
                    return (time.perf_counter() - began) * 1000

    async def read(self, number: int) -> float:
        """Read a quote; return milliseconds."""
        began = time.perf_counter()
        answer = await self.http.get(f"/api/v1/quotes/{self.quotes[number % len(self.quotes)]}")
        assert answer.status_code == 200
        return (time.perf_counter() - began) * 1000


def fields() -> dict[str, Any]:
    """A quote with four coverages."""
    return {
        "customer_name": "Bench", "state": "CA", "product": "personal_auto", "coverage_liability": "50/100/50",
        "effective_date": (datetime.now(UTC).date() + timedelta(days=14)).isoformat(),
        "coverage_collision": "500", "coverage_comprehensive": "500", "coverage_medical": "5000",
        "vehicle_year": 2021, "vehicle_value": "25000.00", "annual_mileage": 12_000,
        "driver_birth_date": "1990-03-16", "driver_licensed_years": 10, "driver_incidents": 1,
    }  # fmt: skip


async def arrive(at: Stand, cookie: str) -> Caller:
    """Make quotes and enter their rooms."""
    headers = {"Cookie": cookie, "Origin": at.url}
    http = httpx2.AsyncClient(base_url=at.url, headers=headers, trust_env=False, timeout=30.0)
    address = f"{at.url.replace('http', 'ws')}/ws"
    socket = await websockets.connect(address, additional_headers=headers, proxy=None)
    quotes = []
    for _ in range(QUOTES_PER_CALLER):
        made = await http.post("/api/v1/quotes", json={"fields": fields()})
        assert made.status_code == 201, made.text
        quotes.append(made.json()["quote_id"])
        await socket.send(json.dumps({"type": "quote_subscribe", "id": quotes[-1], "quote_id": quotes[-1]}))
        while '"reply"' not in (said := str(await socket.recv())):
            pass
        assert '"ok":true' in said, said
    return Caller(http, socket, quotes)


async def hurry(callers: list[Caller], work: Callable[[Caller, int], Awaitable[float]]) -> tuple[float, list[float]]:
    """Let all callers do ``work`` one after the other, all at once; return how often a second, and each one's ms."""

    async def one(caller: Caller) -> list[float]:
        return [await work(caller, number) for number in range(CALCULATIONS // CALLERS)]

    began = time.monotonic()
    took = [each for found in await asyncio.gather(*map(one, callers)) for each in found]
    return len(took) / (time.monotonic() - began), took


async def serve(at: Stand, callers: list[Caller]) -> tuple[Figure, ...]:
    """Take one run of the service."""
    reads, read_ms = await hurry(callers, Caller.read)
    cpu = cpu_seconds(at.server.pid)
    calculations, took_ms = await hurry(callers, Caller.calculate)
    cpu = (cpu_seconds(at.server.pid) - cpu) / CALCULATIONS * 1000
    baseline = "reading such a quote"
    return (
        Figure("calculations, asked to told, SQLite", calculations, "1/s", None, "at least", reads, baseline),
        Figure("p50 from asking to the end, 8 at once", percentile(took_ms, 50), "ms", None, "below",
               percentile(read_ms, 50), baseline),
        Figure("p99 from asking to the end, 8 at once", percentile(took_ms, 99), "ms", None, "below",
               percentile(read_ms, 99), baseline),
        Figure("CPU of the server for a calculation", cpu, "ms"),
        Figure("asked again so far because the database was busy", sum(each.refused for each in callers), "times"),
    )  # fmt: skip


def service() -> tuple[Figure, ...]:
    """Run the server and its callers."""
    # Each is a user of their own: the pace of writes counts by user.
    with stand(TICKS_PER_S, people=CALLERS) as at, asyncio.Runner() as runner:
        callers = [runner.run(arrive(at, cookie)) for cookie in at.people]
        figures = repeat(lambda: runner.run(serve(at, callers)))
        for caller in callers:
            runner.run(caller.socket.close())
            runner.run(caller.http.aclose())
    return figures


def run() -> Result:
    """Measure the engine, then the service."""
    parameters = {
        "ratings": RATINGS, "callers": CALLERS, "quotes": CALLERS * QUOTES_PER_CALLER, "calculations": CALCULATIONS,
        "viewers_per_quote": 1, "database": "SQLite", "nodes": 1, "runs": RUNS,
    }  # fmt: skip
    return Result("rating", (*repeat(engine), *service()), parameters)


def main() -> int:
    """Print machine and result."""
    print(json.dumps({"machine": machine(), "result": among_others(run).plain()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
