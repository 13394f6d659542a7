"""Publishers, resuming clients and faults, all at once; afterwards the history checker judges each room.

Everything follows from the seed, apart from the scheduling of the machine.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.chaos.faults import Faults
from tests.chaos.follower import Follower, Sightings
from tests.chaos.plant import Plant
from tests.chaos.publisher import Ledger, Poster, Publisher, Speaker
from tests.support.history_checker import Entered, Message, Published, Violation, check
from tests.support.population import SOCKETS_EACH
from tests.support.waiting import until

# Users that publish over the socket; the others follow.
SPEAKERS = 10
CONVERGE_CEILING_S = 60.0
COMING_PER_S = 200.0


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    Attributes:
        publishes: At least so many are acknowledged; more if the faults take longer.
        rate: Publishes a second, of all publishers together.
        hops: Clients that go to another node, a second.
        faults: How many of each kind.
    """

    publishes: int
    clients: int
    rooms: int
    publishers: int
    rate: float
    hops: float
    faults: Mapping[str, int] = field(default_factory=dict)

    @property
    def users(self) -> int:
        """So many users are needed: nobody has more sockets than a node allows, one for a witness included."""
        return SPEAKERS + -(-self.clients // (SOCKETS_EACH // 2))


@dataclass
class Outcome:
    """What a storm found.

    Attributes:
        violations: What the checker says, and what no server may say.
        converged_s: From the last acknowledged publish until everybody had everything.
        resumes_s: Seconds from a node's SIGKILL until a client of it was in its room again.
    """

    seed: int
    violations: list[Violation]
    faults: Counter[str]
    acknowledged: int
    again: int
    unknown: Counter[str]
    deliveries: int
    recovered: int
    not_recovered: int
    converged_s: float
    took_s: float
    resumes_s: list[float]
    answers_s: list[float]
    refusals: Counter[str]
    ends: Counter[int]
    told_s: list[float]
    epochs: int


class Storm:
    """One run over a plant.

    Args:
        prefix: Rooms are ``app:PREFIX-0``, ...
        steady: All publishers speak over sockets, to the last node; otherwise half of them, to any node.
        ceiling_s: Until all are in their rooms.
    """

    def __init__(
        self,
        plant: Plant,
        scale: Scale,
        seed: int,
        prefix: str = "storm",
        *,
        steady: bool = False,
        ceiling_s: float = CONVERGE_CEILING_S,
    ) -> None:
        self._steady = steady
        self._ceiling_s = ceiling_s
        self.plant = plant
        self.scale = scale
        self.seed = seed
        self.seen = Sightings()
        self.ledger = Ledger()
        self.rooms = [f"app:{prefix}-{number}" for number in range(scale.rooms)]
        self.faults = Faults(plant, random.Random(f"{seed}/faults"))
        self._chance = random.Random(seed)
        self.followers = [self._follower(number) for number in range(scale.clients)]
        self.publishers = [self._publisher(number, prefix) for number in range(scale.publishers)]
        self._over = False

    async def play(self, script: Callable[[], Awaitable[None]] | None = None) -> Outcome:
        """Let it all happen, let everybody catch up, and judge.

        Args:
            script: What happens while publishers publish, instead of the scale's faults.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        following = [asyncio.create_task(self._follow(number)) for number in range(len(self.followers))]
        hopping = asyncio.create_task(self._hop())
        try:
            await self.all_inside()
            async with asyncio.TaskGroup() as group:
                for publisher in self.publishers:
                    group.create_task(publisher.run(self._enough))
                group.create_task(self._run(script or self._break))
            hopping.cancel()
            converged_s = await self._converge()
        finally:
            for task in (hopping, *following):
                task.cancel()
            await asyncio.gather(hopping, *following, return_exceptions=True)
        return self._outcome(converged_s, loop.time() - begun)

    def choose(self, chance: random.Random) -> int | None:
        """Return the port of a node that serves."""
        serving = self.plant.serving
        return chance.choice(serving).port if serving else None

    def _last(self, _: random.Random) -> int | None:
        return self.plant.nodes[-1].port

    def _follower(self, number: int) -> Follower:
        user = SPEAKERS + number % (self.scale.users - SPEAKERS)
        return Follower(
            self.rooms[number % self.scale.rooms],
            lambda port: self.plant.people.headers_of(port, user),
            self.choose,
            random.Random(f"{self.seed}/follower {number}"),
            self.seen,
        )

    def _publisher(self, number: int, prefix: str) -> Publisher:
        chance = random.Random(f"{self.seed}/publisher {number}")
        people, user = self.plant.people, number % SPEAKERS
        way = (
            Speaker(lambda port: people.headers_of(port, user), self._last if self._steady else self.choose, chance)
            if number % 2 or self._steady
            else Poster(people.key, self.choose, chance)
        )
        every_s = self.scale.publishers / self.scale.rate
        return Publisher(f"{prefix}-{self.seed}-{number}", way, self.rooms, chance, self.ledger, every_s)

    async def _follow(self, number: int) -> None:
        # The first coming is no part of what is looked at; nobody need wait for a welcome then.
        await asyncio.sleep(number / COMING_PER_S)
        await self.followers[number].follow()

    def _enough(self) -> bool:
        return self._over and self.ledger.acknowledged >= self.scale.publishes

    async def all_inside(self) -> None:
        """Return when every follower is in its room."""
        await until(lambda: all(follower.inside for follower in self.followers), self._ceiling_s)

    async def _hop(self) -> None:
        while self.scale.hops:
            await asyncio.sleep(1.0 / self.scale.hops)
            self._chance.choice(self.followers).hop()

    async def _run(self, script: Callable[[], Awaitable[None]]) -> None:
        await script()
        await self.plant.settled()
        self._over = True

    async def caught_up(self) -> float:
        """Return when everybody has what was acknowledged by now; the seconds it took."""
        newest = {room: _newest(entries) for room, entries in self.ledger.published.items()}
        begun = asyncio.get_running_loop().time()
        late = {follower for follower in self.followers if follower.room in newest and follower.rested.is_set()}
        while late:
            late = {follower for follower in late if not _has(follower, newest[follower.room])}
            # Looked at from outside: two hundred events would tell no more.
            await asyncio.sleep(0.005)
        return asyncio.get_running_loop().time() - begun

    async def _break(self) -> None:
        """One fault after each equal part of the publishes, and a follower cut with each."""
        names = self.faults.order(self.scale.faults)
        for number, name in enumerate(names, 1):
            await self.ledger.wait(self.scale.publishes * number // (len(names) + 1))
            self._chance.choice(self.followers).hop()
            await self.faults.happen(name)

    async def _converge(self) -> float:
        """Publish a last word to each room; return the seconds until every follower has it."""
        writer = self._publisher(self.scale.publishers, "last")
        for room in self.rooms:
            await writer.publish(room)
        writer.close()
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(CONVERGE_CEILING_S):
                await self.caught_up()
        except TimeoutError:
            self.ledger.wrong.append("somebody never caught up")
        return asyncio.get_running_loop().time() - begun

    def _outcome(self, converged_s: float, took_s: float) -> Outcome:
        found = [Violation("server", "said what it must not", text) for text in self.seen.wrong + self.ledger.wrong]
        for room in self.rooms:
            logs = {f"{room} {n}": each.log for n, each in enumerate(self.followers) if each.room == room}
            found += check(self.ledger.published.get(room, []), logs)
        events = [event for follower in self.followers for event in follower.log]
        entered = [event for event in events if isinstance(event, Entered)]
        ledger = self.ledger
        return Outcome(
            seed=self.seed,
            violations=found,
            faults=self.faults.done,
            acknowledged=ledger.acknowledged,
            again=ledger.again,
            unknown=ledger.unknown,
            deliveries=sum(isinstance(event, Message) for event in events),
            recovered=sum(event.recovered for event in entered),
            not_recovered=sum(not event.recovered for event in entered),
            converged_s=converged_s,
            took_s=took_s,
            resumes_s=self._resumes(),
            answers_s=[took for _, took, _ in ledger.answers],
            refusals=Counter(outcome for _, _, outcome in ledger.answers if outcome != "ok") + self.seen.refused,
            ends=self.seen.ends,
            told_s=self.seen.told_s,
            epochs=len({entry.epoch for entries in ledger.published.values() for entry in entries} - {None}),
        )

    def _resumes(self) -> list[float]:
        """Resumes of those who were lost within a second of a SIGKILL."""
        kills = self.faults.killed_at
        return [took for lost, took in self.seen.resumes if any(0.0 <= lost - at < 1.0 for at in kills)]


def _has(follower: Follower, entry: Published) -> bool:
    assert entry.epoch is not None
    assert entry.offset is not None
    return follower.has(entry.epoch, entry.offset)


def _newest(entries: list[Published]) -> Published:
    """The last place of the last epoch; the last answer alone may be that of an older place."""
    epoch = entries[-1].epoch
    return max((entry for entry in entries if entry.epoch == epoch), key=lambda entry: entry.offset or 0)
