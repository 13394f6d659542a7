"""How long the market is silent when the leading feed is killed (SIGKILL) or frozen (SIGSTOP) and another one waits.

Real processes, a real Valkey, the simulator as a venue that throws out the oldest connections; the time runs from the
signal to the first tick with the new leader's number on the bus. Run: ``python -m bench.takeover [--times 5]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog
from tests.support.command import Service
from tests.support.served import settings
from tests.support.valkey import ValkeyProcess

from bench.measure import line
from tidewire.bus.redis import RedisBus
from tidewire.core.clock import SystemClock
from tidewire.core.fence import fence_of
from tidewire.core.market import TICK_CHANNEL

TIMES = 5
KEY = "a key for the simulator"
CEILING_S = 60.0


class Watch:
    """Notes when the first tick of each leader came, by its number, and the last one of any."""

    def __init__(self) -> None:
        self.first: dict[int, float] = {}
        self.last: dict[int, float] = {}
        self._arrived = asyncio.Event()

    def receive(self, _: str, payloads: Sequence[bytes]) -> None:
        """Subscribe with this."""
        now = time.monotonic()
        for payload in payloads:
            fence = fence_of(payload)
            self.first.setdefault(fence, now)
            self.last[fence] = now
        self._arrived.set()

    @property
    def newest(self) -> int:
        """The highest number heard."""
        return max(self.first, default=0)

    async def above(self, fence: int) -> float:
        """Return when the first tick of a later leader came."""
        async with asyncio.timeout(CEILING_S):
            while self.newest <= fence:
                self._arrived.clear()
                await self._arrived.wait()
        return self.first[self.newest]


class Feeds:
    """Two ``tidewire feed``; one leads."""

    def __init__(self, folder: Path, url: str, venue: dict[str, Any]) -> None:
        self._folder, self._url, self._venue = folder, url, venue
        self._count = 0
        self.leader = self._start()
        self.leader.logged("feed_leads")
        self.waiting = self._start()

    def _start(self) -> Service:
        self._count += 1
        home = self._folder / f"feed-{self._count}"
        home.mkdir()
        values = settings(
            home,
            USE_SYNTHETIC_DATA="false",
            USE_MASSIVE_API="true",
            MASSIVE_API_KEY=KEY,
            TIDEWIRE_FEED_URL=self._venue["url"],
            WEBSOCKET_CONNECTION_2_SYMBOLS="IBM",
            TIDEWIRE_REDIS_URL=self._url,
            TIDEWIRE_NODE_NAME=home.name,
        )
        service = Service("feed", "--json", values=values, cwd=home)
        service.announcement()
        return service

    def strike(self, signum: int) -> None:
        """Send the leader a signal that it cannot answer."""
        self.leader.process.send_signal(signum)

    def recover(self) -> None:
        """The one that waited leads; the other one waits, started anew or continued."""
        old, self.leader = self.leader, self.waiting
        if old.process.poll() is None:
            said = len(old.log())
            old.process.send_signal(signal.SIGCONT)
            old.told(lambda entry: entry.get("event") == "feed_waits" and old.log().index(entry) >= said)
            self.waiting = old
        else:
            old.kill()
            self.waiting = self._start()

    def end(self) -> None:
        """End both."""
        for service in (self.leader, self.waiting):
            with contextlib.suppress(ProcessLookupError):
                service.process.send_signal(signal.SIGCONT)
            service.kill()


@contextlib.contextmanager
def feeds() -> Iterator[tuple[Feeds, str]]:
    """Run a broker, a venue and two feeds."""
    with tempfile.TemporaryDirectory() as folder, ValkeyProcess() as valkey:
        words = ("--json", "--port", "0", "--key", KEY, "--rate", "200", "--tickers", "10", "--max-connections", "2")
        with Service("simulate", *words, cwd=Path(folder)) as simulator:
            pair = Feeds(Path(folder), valkey.url, simulator.announcement())
            try:
                yield pair, valkey.url
            finally:
                pair.end()


async def measure(pair: Feeds, url: str, times: int) -> dict[str, list[float]]:
    """Strike the leader again and again, alternating; return the silences, seconds."""
    bus = RedisBus(url, SystemClock(), random.Random(1))
    watch = Watch()
    found: dict[str, list[float]] = {"SIGKILL": [], "SIGSTOP": []}
    await bus.start()
    try:
        await bus.subscribe(TICK_CHANNEL, watch.receive).ready()
        await watch.above(0)
        for _ in range(times):
            for name, silences in found.items():
                # Anywhere within the second in which the lease is renewed.
                await asyncio.sleep(2.0 + random.random())
                fence, struck = watch.newest, time.monotonic()
                pair.strike(signal.Signals[name])
                silences.append(await watch.above(fence) - struck)
                await asyncio.to_thread(pair.recover)
                # Nothing of the old one may come once the new one has spoken.
                assert watch.last[fence] <= watch.first[watch.newest], "a fenced feed was heard"
    finally:
        await bus.stop()
    return found


def main() -> None:
    """Run it and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES)
    times = parser.parse_args().times
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(f"{os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}; each {times} times")
    with feeds() as (pair, url):
        found = asyncio.run(measure(pair, url, times))
    for name, silences in found.items():
        line(f"{name} of the leader: silence, median", statistics.median(silences), "s")
        line(f"{name} of the leader: silence, longest", max(silences), "s")
        print(f"    {' '.join(f'{each:.2f}' for each in sorted(silences))}")


if __name__ == "__main__":
    main()
