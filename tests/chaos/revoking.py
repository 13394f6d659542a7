"""Rights are taken away while messages flow, and users of both nodes must get none that came later (bar R14).

The process of the run is a third node without clients: it changes accounts and tells it over the bus, as nodes do. A
revocation holds from the moment the broker has it (docs/decisions/0013); a marker published after that has an offset
that nobody revoked may see, and nothing from there on.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from tests.chaos.plant import Plant
from tests.chaos.publisher import Ledger, Publisher, Speaker
from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire, open_wire
from tests.support.population import PASSWORD, accounts_of
from tidewire.accounts.service import Accounts
from tidewire.app.account_changes import CHANNEL, AccountChanges, change_of
from tidewire.bus.redis import RedisBus
from tidewire.core.clock import SystemClock
from tidewire.store.database import Database

CODES = {"disable": 4511, "log out": 4512}
CEILING_S = 45.0


@dataclass
class Revoked:
    """What a run found.

    Attributes:
        took_s: Seconds from the revocation until a connection of that user was closed, each one.
        late: Messages that came although they were published after it: there must be none.
        codes: With which the connections were closed.
        before: Messages that the same connections had got before it.
    """

    rounds: int = 0
    took_s: list[float] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    before: int = 0


class Registrar:
    """Changes accounts, and returns once the broker has been told."""

    def __init__(self, accounts: Accounts, bus: RedisBus) -> None:
        self._accounts = accounts
        self._heard: asyncio.Queue[None] = asyncio.Queue()
        self._one = asyncio.Lock()
        self._subscription = bus.subscribe(CHANNEL, lambda *_: self._heard.put_nowait(None))
        self._changes = AccountChanges(
            bus, review=self._nothing, user_changed=lambda change: None, login_ended=lambda session: None
        )

    async def ready(self) -> None:
        """Return when it hears itself."""
        await self._subscription.ready()

    async def take(self, how: str, username: str, cookie: str) -> float:
        """Take a right away; return when that was committed, by the loop's clock."""
        async with self._one:
            if how == "disable":
                user = await self._accounts.change_user(username, disabled=True)
                committed = asyncio.get_running_loop().time()
                self._changes.announce_user(change_of(user))
            else:
                opened = await self._accounts.load_session(cookie)
                assert opened is not None
                await self._accounts.log_out(cookie)
                committed = asyncio.get_running_loop().time()
                self._changes.announce_login_ended(opened.session_id)
            await self._heard.get()
            return committed

    async def give(self, username: str) -> str:
        """Give everything back; return the cookie of a new login."""
        async with self._one:
            user = await self._accounts.change_user(username, disabled=False)
            self._changes.announce_user(change_of(user))
            await self._heard.get()
        return (await self._accounts.log_in(username, PASSWORD, ip="127.0.0.1")).token

    async def _nothing(self) -> None:
        """Nobody is connected here."""


@asynccontextmanager
async def registrar(plant: Plant, seed: int) -> AsyncIterator[Registrar]:
    """Connect one to the plant's database and to its Valkey, past the proxies."""
    database = Database(plant.people.url)
    bus = RedisBus(plant.valkey.url, SystemClock(), random.Random(seed))
    await bus.start()
    made = Registrar(accounts_of(database), bus)
    await made.ready()
    try:
        yield made
    finally:
        await bus.stop()
        await database.stop()


class Seat:
    """One connection of a user in the room.

    Attributes:
        newest: Offset of the last message that came.
        ended: When it did.
    """

    def __init__(self, room: str) -> None:
        self._room = room
        self.newest = 0
        self.count = 0
        self.inside = asyncio.Event()
        self._changed = asyncio.Event()
        self.over: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.code = 0
        self.wire: Wire | None = None

    async def take(self, port: int, headers: dict[str, str]) -> None:
        """Connect and enter."""
        self.wire = await open_wire(port, headers, self._hear, self._end)
        self.wire.say("subscribe", id=1, room_id=self._room)
        async with asyncio.timeout(CEILING_S):
            await self.inside.wait()

    async def reached(self, offset: int) -> None:
        """Return when that message has come."""
        while self.newest < offset:
            self._changed.clear()
            await self._changed.wait()

    def _hear(self, wire: Wire, said: Said) -> None:
        self._changed.set()
        if said["type"] == "subscribed" and said["room_id"] == self._room:
            self.inside.set()
        elif said["type"] == "room_message":
            self.newest = said["offset"]
            self.count += 1

    def _end(self, wire: Wire) -> None:
        self.code = wire.code or 1006
        if not self.over.done():
            self.over.set_result(asyncio.get_running_loop().time())


class Rounds:
    """Revocations of several users at once, in a room that is published to all the time."""

    def __init__(self, plant: Plant, office: Registrar, seed: int, *, room: str = "app:revoked") -> None:
        self._plant = plant
        self._office = office
        self._chance = random.Random(f"{seed}/revoking")
        self._room = room
        self.found = Revoked()
        self.ledger = Ledger()

    async def play(self, rounds: int, users: range, *, rate: float = 60.0) -> Revoked:
        """Do so many rounds; ``users`` take turns, all at once; user 0 and 1 publish."""
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in (0, 1):
                group.create_task(self._publisher(number, 2 / rate).run(over.is_set))
            async with asyncio.TaskGroup() as turns:
                for user in users:
                    turns.create_task(self._turns(user, rounds // len(users)))
            over.set()
        return self.found

    def _publisher(self, number: int, every_s: float) -> Publisher:
        chance = random.Random(f"{self._room}/{number}")
        people = self._plant.people
        way = Speaker(lambda port: people.headers_of(port, number % 2), self._choose, chance)
        return Publisher(f"{self._room}-{number}", way, [self._room], chance, self.ledger, every_s)

    def _choose(self, chance: random.Random) -> int | None:
        return chance.choice(self._plant.serving).port

    async def _turns(self, user: int, rounds: int) -> None:
        marker = self._publisher(user + 2, 1.0)
        for _ in range(rounds):
            await self.round(user, marker, self._chance.choice(sorted(CODES)))
        marker.close()

    async def round(self, user: int, marker: Publisher, how: str) -> None:
        """Sit on both nodes, lose the right at some moment, and see what came."""
        people = self._plant.people
        seats = [Seat(self._room) for _ in self._plant.nodes]
        for seat, node in zip(seats, self._plant.nodes, strict=True):
            assert node.port is not None
            await seat.take(node.port, people.headers_of(node.port, user))
        await asyncio.sleep(self._chance.uniform(0.0, 0.05))
        begun = await self._office.take(how, f"user-{user}", people.cookies[user])
        marked = await marker.publish(self._room)
        assert marked.offset is not None
        for seat in seats:
            async with asyncio.timeout(CEILING_S):
                self.found.took_s.append(await seat.over - begun)
            self.found.codes[seat.code] += 1
            self.found.before += seat.count
            if seat.newest >= marked.offset:
                self.found.late.append(f"user-{user}, {how}: offset {seat.newest} after {marked.offset}")
            if seat.code != CODES[how]:
                self.found.late.append(f"user-{user}, {how}: closed with {seat.code}")
        self.found.rounds += 1
        people.cookies[user] = await self._office.give(f"user-{user}")

    async def cut_off(self, users: range, rounds: int) -> Revoked:
        """Cut the first node off the broker, revoke everybody, publish at the other one; again, so many times."""
        cut, whole = self._plant.nodes
        assert whole.port is not None
        people, proxy = self._plant.people, self._plant.proxies[0]
        speaker = Speaker(lambda port: people.headers_of(port, 0), lambda chance: whole.port, self._chance)
        marker = Publisher(f"{self._room}-marker", speaker, [self._room], self._chance, self.ledger, 1.0)
        for _ in range(rounds):
            seats = {user: Seat(self._room) for user in users}
            for user, seat in seats.items():
                assert cut.port is not None
                await seat.take(cut.port, people.headers_of(cut.port, user))
            proxy.set("refuse")
            proxy.reset()
            hows = {user: self._chance.choice(sorted(CODES)) for user in users}
            begun: dict[int, float] = {}
            for user, how in hows.items():
                begun[user] = await self._office.take(how, f"user-{user}", people.cookies[user])
            marked = await marker.publish(self._room)
            assert marked.offset is not None
            for user, seat in seats.items():
                async with asyncio.timeout(CEILING_S):
                    self.found.took_s.append(await seat.over - begun[user])
                self.found.codes[seat.code] += 1
                self.found.before += seat.count
                if seat.newest >= marked.offset:
                    self.found.late.append(f"user-{user}, cut off: offset {seat.newest} after {marked.offset}")
                self.found.rounds += 1
            proxy.set("pass")
            for user in users:
                people.cookies[user] = await self._office.give(f"user-{user}")
        marker.close()
        return self.found

    async def blind(self, user: int, witness: int) -> Revoked:
        """Cut the first node off, revoke, kill Postgres, let the bus return: the node knows nothing and sends nothing.

        Only when Postgres is back, the witness gets what was published, and the other one its end.
        """
        cut, whole = self._plant.nodes
        people, proxy, found = self._plant.people, self._plant.proxies[0], Revoked(rounds=1)
        assert cut.port is not None
        speaker = Speaker(lambda port: people.headers_of(port, 0), lambda chance: whole.port, self._chance)
        marker = Publisher(f"{self._room}-blind", speaker, [self._room], self._chance, self.ledger, 1.0)
        await marker.publish(self._room)
        seat, other = Seat(self._room), Seat(self._room)
        await seat.take(cut.port, people.headers_of(cut.port, user))
        await other.take(cut.port, people.headers_of(cut.port, witness))
        proxy.set("refuse")
        proxy.reset()
        committed = await self._office.take("disable", f"user-{user}", people.cookies[user])
        await asyncio.to_thread(self._plant.postgres.kill)
        marked = await marker.publish(self._room)
        assert marked.offset is not None
        proxy.set("pass")
        try:
            await _until_blind(cut.port)
            for each in (seat, other):
                if each.newest >= marked.offset:
                    found.late.append(f"blind: offset {each.newest}, of {marked.offset}, before anybody could know")
        finally:
            await asyncio.to_thread(self._plant.postgres.start)
        async with asyncio.timeout(CEILING_S):
            found.took_s.append(await seat.over - committed)
            await other.reached(marked.offset)
        if seat.newest >= marked.offset or seat.code != CODES["disable"]:
            found.late.append(f"blind: offset {seat.newest}, code {seat.code}")
        marker.close()
        return found


async def _until_blind(port: int) -> None:
    """Return when the node hears the bus again and has twice asked the database about its clients in vain since."""
    async with asyncio.timeout(CEILING_S), httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        failed: list[float] = []
        while not failed or failed[-1] < failed[0] + 2:
            text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
            found = dict(
                re.findall(r"^(tidewire_bus_up|tidewire_login_reviews_failed_total) (\S+)$", text, re.MULTILINE)
            )
            if float(found["tidewire_bus_up"]):
                failed.append(float(found["tidewire_login_reviews_failed_total"]))
            await asyncio.sleep(0.05)
