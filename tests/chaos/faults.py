"""Faults in an order that follows from a seed. They break a plant and know nothing of who suffers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from tests.chaos.plant import Crew, Node, Plant
from tests.support.postgres import stopped_processes
from tests.support.valkey import BareClient

# Longer than the deadline of a broker command (1 s), so that a freeze is noticed about every other time.
FREEZE_S = (0.3, 3.0)
DELAY_S = (0.02, 0.3)
LASTS_S = (0.5, 3.0)


class Faults:
    """Each kind by name.

    Attributes:
        done: How often each has happened.
        killed_at: When a node was killed, by the loop's clock.
    """

    def __init__(self, plant: Plant, chance: random.Random) -> None:
        self._plant = plant
        self._chance = chance
        self.done: Counter[str] = Counter()
        self.killed_at: list[float] = []
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "kill_node": self.kill_node,
            "kill_worker": self.kill_worker,
            "kill_feed": self.kill_feed,
            "kill_valkey": plant.kill_valkey,
            "freeze_valkey": self.freeze_valkey,
            "stop_postgres": lambda: plant.restart_postgres(gently=True),
            "kill_postgres": lambda: plant.restart_postgres(gently=False),
            "kill_all_postgres": lambda: plant.restart_postgres(gently=False, whole=True),
            "kill_backend": self.kill_backend,
            "freeze_postgres": self.freeze_postgres,
            "cut": self.cut,
            "cut_within": self.cut_within,
            "delay": self.delay,
            "half_open": self.half_open,
            "flush": self.flush,
        }

    def order(self, counts: Mapping[str, int]) -> list[str]:
        """Return so many of each, shuffled."""
        names = [name for name, count in sorted(counts.items()) for _ in range(count)]
        self._chance.shuffle(names)
        return names

    async def happen(self, name: str) -> None:
        """Let one happen; when this returns it is over, apart from a killed node's restart."""
        await self._kinds[name]()
        self.done[name] += 1

    async def kill_node(self) -> None:
        """SIGKILL of a node that serves; sometimes of the last one that does."""
        serving = self._plant.serving
        if len(serving) < 2 and self._chance.random() < 0.75:
            await self._plant.settled()
        while not (serving := self._plant.serving):
            await self._plant.settled()
        victim: Node = self._chance.choice(serving)
        self.killed_at.append(asyncio.get_running_loop().time())
        await victim.kill()
        self._plant.restart_soon(victim)

    async def kill_worker(self) -> None:
        """SIGKILL of one of the supervisor's web workers."""
        self.killed_at.append(asyncio.get_running_loop().time())
        await self._crew.kill_one(f"crew-{self._chance.choice((1, 2))}")

    async def kill_feed(self) -> None:
        """SIGKILL of the supervisor's feed."""
        await self._crew.kill_one("crew-feed")

    async def freeze_valkey(self) -> None:
        """SIGSTOP, SIGCONT."""
        self._plant.valkey.freeze()
        try:
            await asyncio.sleep(self._chance.uniform(*FREEZE_S))
        finally:
            self._plant.valkey.thaw()

    async def kill_backend(self) -> None:
        """SIGKILL of one of Postgres' processes: its postmaster ends all others and recovers."""
        await self._plant.kill_within_postgres(self._chance.randrange(1_000))

    async def freeze_postgres(self) -> None:
        """SIGSTOP of all of Postgres, SIGCONT: what was under way ends after its asker has given up."""
        with stopped_processes(self._plant.postgres.tree):
            await asyncio.sleep(self._chance.uniform(*FREEZE_S))

    async def cut(self) -> None:
        """Every connection of one node to Valkey is reset."""
        self._chance.choice(self._plant.proxies).reset()

    async def cut_within(self) -> None:
        """The next answers to a node are cut within a message."""
        self._chance.choice(self._plant.proxies).cut_after = self._chance.randrange(1, 4_000)

    async def delay(self) -> None:
        """Everything between one node and Valkey is late for a while."""
        proxy = self._chance.choice(self._plant.proxies)
        proxy.delay_s = self._chance.uniform(*DELAY_S)
        await asyncio.sleep(self._chance.uniform(*LASTS_S))
        proxy.delay_s = 0.0

    async def half_open(self) -> None:
        """One node's connections are open and carry nothing for a while; then what was held flows on, or is lost."""
        proxy = self._chance.choice(self._plant.proxies)
        proxy.set("blackhole")
        await asyncio.sleep(self._chance.uniform(*LASTS_S))
        proxy.set("pass")
        if self._chance.random() < 0.5:
            proxy.reset()

    async def flush(self) -> None:
        """FLUSHALL: everything is lost, and no connection breaks."""
        assert await BareClient(self._plant.valkey.port).command("FLUSHALL") == b"+OK"

    @property
    def _crew(self) -> Crew:
        crew = self._plant.nodes[0]
        assert isinstance(crew, Crew)
        return crew
