"""Bans over two nodes: whoever is banned gets nothing more anywhere from the acknowledgement on, and others get all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.clock import HandClock
from tests.support.hub_server import Doorman, make_hub, principal
from tests.support.tape_socket import TapeSocket
from tests.support.waiting import until
from tidewire.accounts.bans import Bans, Wish
from tidewire.accounts.credential import Credential
from tidewire.accounts.model import Role
from tidewire.bus.memory import MemoryBus
from tidewire.core.errors import Conflict, StoreError
from tidewire.core.protocol import data_body
from tidewire.hub.banishment import Banishment
from tidewire.hub.hub import Hub
from tidewire.hub.lifecycle import Timing
from tidewire.hub.nodes import Nodes
from tidewire.hub.session import Peer, Session
from tidewire.hub.switchboard import HubOptions
from tidewire.store import migrate
from tidewire.store.ban_records import Ban
from tidewire.store.bans import Bans as BanTable
from tidewire.store.database import Database
from tidewire.store.models import User

ROOM = "public:all"
ADMIN = principal(9, Role.SUPER)
ADDRESSES = ["10.0.0.1", "10.0.1.1", "2001:db8::1", "192.0.2.9"]
NETWORKS = ["10.0.0.0/16", "10.0.0.1", "2001:db8::/32"]


@dataclass(eq=False)
class Client:
    """A connection, and what the model knows of it."""

    user: int
    ip: str
    socket: TapeSocket
    session: Session

    def got(self) -> list[int]:
        """Return the numbers that were sent to it since it was asked last."""
        return [message["data"] for message in self.socket.read() if message["type"] == "room_message"]


@dataclass(eq=False)
class Node:
    """A hub with its own book of bans."""

    hub: Hub
    doorman: Doorman
    nodes: Nodes
    bans: Bans
    banishment: Banishment

    async def ban(self, *, users: tuple[int, ...] = (), addresses: tuple[str, ...] = (), s: int | None = None) -> Ban:
        """Ban, and return when it is acknowledged."""
        (made,) = await self.bans.impose(wish(users=users, addresses=addresses, s=s), ADMIN, "198.51.100.1")
        spread = await self.banishment.spread([made])
        assert (spread.silent, spread.cut_off) == ([], "")
        return made

    async def connect(self, user: int, ip: str) -> Client:
        """Come in, and enter the room; return when it is decided."""
        socket = TapeSocket()
        session = self.hub.open(socket, Peer(ip, "test", "/ws", False), Credential("bearer", f"user-{user}"))
        await until(lambda: session.lifecycle.open or socket.closed)
        client = Client(user, ip, socket, session)
        if session.lifecycle.open:
            self.hub.receive(session, b'{"type":"subscribe","room_id":"%s","id":1}' % ROOM.encode())
            await until(lambda: ROOM in session.subscriptions)
        return client


def wish(*, users: tuple[int, ...] = (), addresses: tuple[str, ...] = (), s: int | None = None) -> Wish:
    """Return what an operator asks for."""
    return Wish(users=[f"user-{user}" for user in users], addresses=addresses, reason="spam", seconds=s)


@dataclass(eq=False)
class Pair:
    """Two nodes, one clock, one database."""

    clock: HandClock
    database: Database
    nodes: list[Node] = field(default_factory=list)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two started nodes that know each other."""
    url, clock = f"sqlite:///{tmp_path}/bans.db", HandClock()
    bus = MemoryBus(clock)
    await migrate.upgrade(url)
    database = Database(url)
    await database.start()
    made = Pair(clock, database)
    await _add_users(database)
    await bus.start()
    for number in (1, 2):
        # Nobody here answers heartbeats, and one user comes in often.
        options = HubOptions(timing=Timing(heartbeat_s=1e6), connections_per_user=1_000)
        doorman = Doorman()
        hub = make_hub(doorman, clock=clock, options=options)
        nodes = Nodes(bus, clock, f"node-{number}", count=hub.connection_count)
        bans = Bans(database, clock)
        made.nodes.append(Node(hub, doorman, nodes, bans, Banishment(nodes, hub, bans)))
    for node in made.nodes:
        await node.hub.start()
        await node.nodes.start()
    await until(lambda: all(len(node.nodes.living()) == 2 for node in made.nodes))
    yield made
    for node in made.nodes:
        await node.nodes.stop()
        await node.hub.stop()
    await bus.stop()
    await database.stop()


async def _add_users(database: Database) -> None:
    async with database.write() as session:
        for number in (1, 2, 3, ADMIN.user_id):
            name = f"user-{number}"
            session.add(
                User(
                    id=number,
                    username=name,
                    username_key=name,
                    password_hash="",
                    role="user",
                    disabled=False,
                    grants=[],
                    denials=[],
                    created_at=0.0,
                    password_changed_at=0.0,
                )
            )


class Model:
    """Who is kept out, by a list; and who is connected."""

    def __init__(self) -> None:
        self.bans: list[tuple[Ban, int | None, str]] = []
        self.alive: list[Client] = []

    def bars(self, user: int, ip: str, now: float) -> bool:
        """Whether any ban of the list hits."""
        return any(
            (ban.expires_at is None or now < ban.expires_at) and (who == user or (who is None and _inside(ip, network)))
            for ban, who, network in self.bans
        )

    def note(self, ban: Ban, who: int | None, network: str, now: float) -> None:
        """A ban has been acknowledged: whoever it hits is gone."""
        self.bans.append((ban, who, network))
        self.alive = [client for client in self.alive if not self.bars(client.user, client.ip, now)]


def _inside(ip: str, network: str) -> bool:
    """By the text alone: these networks end at a dot or colon."""
    prefix = {"10.0.0.0/16": "10.0.", "2001:db8::/32": "2001:db8:"}.get(network)
    return ip == network if prefix is None else ip.startswith(prefix)


@pytest.mark.parametrize("seed", range(12))
async def test_after_the_acknowledgement_nothing_reaches_whoever_is_banned_on_any_node(pair: Pair, seed: int) -> None:
    """In any order of bans, liftings, time and comings, each message reaches just those whom a plain list lets in."""
    chance, model = random.Random(seed), Model()
    everybody: list[Client] = []
    watchers = [await node.connect(4, "198.51.100.9") for node in pair.nodes]
    for number in range(80):
        node, now = chance.choice(pair.nodes), pair.clock.time()
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                user, ip = chance.randint(1, 3), chance.choice(ADDRESSES)
                client = await node.connect(user, ip)
                everybody.append(client)
                barred = model.bars(user, ip, now)
                assert (client.socket.closed or (None,))[0] == (4503 if barred else None)
                model.alive += [] if barred else [client]
            case 4:
                user, s = chance.randint(1, 3), chance.choice([None, 1, 2, 2, 3, 5])
                model.note(await node.ban(users=(user,), s=s), user, "", now)
            case 5:
                network, s = chance.choice(NETWORKS), chance.choice([None, 1, 2, 2, 3, 5])
                model.note(await node.ban(addresses=(network,), s=s), None, network, now)
            case 6 if model.bans:
                ban, _, _ = model.bans.pop(chance.randrange(len(model.bans)))
                if ban.holds(now):
                    await node.banishment.spread([await node.bans.lift(ban.id, ADMIN, "")])
                else:
                    with pytest.raises(Conflict):
                        await node.bans.lift(ban.id, ADMIN, "")
            case 7 | 8:
                await pair.clock.advance(chance.choice([0.5, 1.0, 3.0]))
            case _:
                # One node has been told nothing, and finds out by reading.
                user = chance.randint(1, 3)
                (made,) = await node.bans.impose(wish(users=(user,), s=2), ADMIN, "")
                for each in pair.nodes:
                    await each.banishment.read()
                model.note(made, user, "", now)
        for each in pair.nodes:
            each.hub.publish(ROOM, data_body(str(number).encode()))
        for watcher in watchers:
            await until(lambda watcher=watcher, number=number: watcher.got() == [number])
        for client in everybody:
            assert client.got() == ([number] if client in model.alive else []), (seed, number, client)


async def test_a_ban_that_comes_while_somebody_is_being_looked_up_is_not_too_late(pair: Pair) -> None:
    """Whose credentials were being checked when the ban was acknowledged is closed instead of welcomed."""
    here, there = pair.nodes
    socket, here.doorman.hold = TapeSocket(), asyncio.Event()
    here.hub.open(socket, Peer("192.0.2.9", "t", "/ws", False), Credential("bearer", "user-1"))
    await until(lambda: here.doorman.asked)
    await there.ban(users=(1,))
    # Waited for by nobody who is known yet, so that only the door can tell.
    assert socket.closed is None
    here.doorman.hold.set()
    await until(lambda: socket.closed)
    assert socket.closed == (4503, "force_disconnect")
    assert [message["type"] for message in socket.read()] == ["error", "connection"]


async def test_a_message_that_was_missed_is_made_good_by_reading(pair: Pair) -> None:
    """A ban of which a node was told nothing holds there from its next reading on; one lifted meanwhile no more."""
    here, there = pair.nodes
    bob = await there.connect(1, "192.0.2.9")
    (made,) = await here.bans.impose(wish(users=(1,)), ADMIN, "")
    assert bob.socket.closed is None
    await there.banishment.read()
    assert bob.socket.closed == (4503, "force_disconnect")
    await here.bans.lift(made.id, ADMIN, "")
    assert (await there.connect(1, "192.0.2.9")).socket.closed is not None
    await there.banishment.read()
    assert (await there.connect(1, "192.0.2.9")).socket.closed is None


class HeldTable(BanTable):
    """The table, whose answer is on its way until it is let through."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.read, self.through = asyncio.Event(), asyncio.Event()

    async def in_force(self, now: float) -> list[Ban]:
        """Read at once, answer later."""
        found = await super().in_force(now)
        self.read.set()
        await self.through.wait()
        return found


async def test_a_reading_that_is_older_than_a_change_does_not_undo_it(pair: Pair) -> None:
    """What is banned and lifted while an answer of the table is on its way stays banned and lifted."""
    here = pair.nodes[0]
    old = await here.ban(addresses=("192.0.2.1",))
    table = here.bans._reader = HeldTable(pair.database)
    reading = asyncio.create_task(here.banishment.read())
    await table.read.wait()
    await here.ban(addresses=("192.0.2.2",))
    await here.banishment.spread([await here.bans.lift(old.id, ADMIN, "")])
    table.through.set()
    await reading
    assert here.bans.of_address("192.0.2.2") is not None
    assert here.bans.of_address("192.0.2.1") is None


async def test_without_the_database_the_book_goes_on_to_hold(pair: Pair) -> None:
    """A reading that fails says so and changes nothing."""
    here = pair.nodes[0]
    await here.ban(users=(1,))
    async with pair.database.write() as session:
        await session.execute(text("DROP TABLE bans"))
    with pytest.raises(StoreError):
        await here.banishment.read()
    assert here.bans.of_user(1) is not None
