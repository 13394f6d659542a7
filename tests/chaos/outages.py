"""One outage at a time, with its times taken: Valkey frozen (R11), Postgres gone (R12), a node's ghosts (R10).

The clients and publishers are those of a storm; the checker judges here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import asyncpg
import httpx2

from tests.chaos.plant import Node, Plant
from tests.chaos.publisher import Ledger
from tests.chaos.storm import Storm
from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire, open_wire
from tests.chaos.witness import watching
from tests.support.postgres import stopped_processes
from tests.support.waiting import eventually, until

CEILING_S = 60.0
PAUSE_S = 0.05
# Rooms whose messages another process times.
WITNESSED = 10
# The answer to a stranger, once the database has been asked.
KNOWN = "unauthorized"


@dataclass
class Frozen:
    """What a freeze of Valkey was like; seconds.

    Attributes:
        told_s: From SIGSTOP until the last client was told ``degraded``.
        unready_s: From SIGSTOP until /readyz of every node said 503.
        answered_s: The slowest answer to a publish that was under way at any time of it.
        refused: How many of these were refused.
        caught_up_s: From SIGCONT until everybody had everything, the first publish after it too.
    """

    lasted_s: float
    told_s: float
    unready_s: float
    answered_s: float
    refused: int
    caught_up_s: float


async def freeze(storm: Storm, lasts_s: float) -> Frozen:
    """SIGSTOP Valkey for that long while ``storm`` publishes."""
    loop = asyncio.get_running_loop()
    clients = len(storm.followers)
    storm.seen.degraded.clear()
    begun = loop.time()
    storm.plant.valkey.freeze()
    try:
        unready = asyncio.create_task(_unready(storm.plant))
        await until(lambda: len(storm.seen.degraded) >= clients, CEILING_S)
        told_s = max(storm.seen.degraded[:clients]) - begun
        unready_s = await unready - begun
        await asyncio.sleep(max(0.0, lasts_s - (loop.time() - begun)))
    finally:
        storm.plant.valkey.thaw()
    thawed = loop.time()
    acknowledged = storm.ledger.acknowledged
    async with asyncio.timeout(CEILING_S):
        await storm.ledger.wait(acknowledged + 1)
        await storm.caught_up()
    caught_up_s = loop.time() - thawed
    during = [(took, what) for sent, took, what in storm.ledger.answers if sent + took > begun and sent < thawed]
    refused = sum(what != "ok" for _, what in during)
    return Frozen(lasts_s, told_s, unready_s, max(took for took, _ in during), refused, caught_up_s)


async def _unready(plant: Plant) -> float:
    """Return when no node is ready any more, as a load balancer sees it."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:

        async def asked(node: Node) -> None:
            url = f"http://127.0.0.1:{node.port}/readyz"
            await eventually(lambda: http.get(url), lambda answer: answer.status_code == 503, ceiling_s=CEILING_S)

        await asyncio.gather(*map(asked, plant.nodes))
    return asyncio.get_running_loop().time()


@dataclass
class Storage:
    """What an outage of Postgres was like; seconds.

    Attributes:
        before, during: From the first sending of a message until the witness had it, a process with nothing else to do.
        crowded_before, crowded: The same, seen by the process that plays all the clients.
        refused: (seconds, code) of what needs the database, while it was away.
        recovered_s: From its return until a login's page is answered as before.
    """

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    crowded_before: list[float] = field(default_factory=list)
    crowded: list[float] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)
    recovered_s: float = 0.0


async def without_storage(storm: Storm, how: str, lasts_s: float) -> Storage:
    """Freeze or kill Postgres for that long while ``storm`` publishes over sockets."""
    loop, found, ledger = asyncio.get_running_loop(), Storage(), storm.ledger
    steady = storm.plant.nodes[-1]
    assert steady.port is not None
    headers = storm.plant.people.headers_of(steady.port, storm.scale.users - 1)
    async with (
        watching(steady.port, headers, storm.rooms[:WITNESSED]) as witness,
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        # What is published while the witness comes was not sent for it.
        ledger.timed = True
        into = found.crowded_before
        storm.seen.heard = lambda _, name: _note(into, ledger.sent, name, loop.time())
        # The same is asked before, so that the two times differ by the outage alone.
        await _ask_for(http, storm.plant, lasts_s)
        async with _away(storm.plant, how):
            away, into = loop.time(), found.crowded
            found.refused += await _ask_for(http, storm.plant, lasts_s)
            returning, into = loop.time(), []
        storm.seen.heard = None
        returned = loop.time()
        await eventually(
            lambda: _needs_storage(http, storm.plant), lambda answer: answer[1] == KNOWN, ceiling_s=CEILING_S
        )
        found.recovered_s = loop.time() - returned
        came = await witness.tell()
    _part(found, ledger, came, away, returning)
    return found


def _part(found: Storage, ledger: Ledger, came: Mapping[str, list[float]], away: float, returning: float) -> None:
    """Part what the witness saw by when it was sent."""
    ledger.timed = False
    for name, at in ledger.sent.items():
        into = found.before if at < away else found.during if at < returning else None
        if into is not None:
            into += [time - at for time in came.get(name, ())]
    ledger.sent.clear()


@contextlib.asynccontextmanager
async def _away(plant: Plant, how: str) -> AsyncIterator[None]:
    if how == "freeze":
        with stopped_processes(plant.postgres.tree):
            yield
        return
    await asyncio.to_thread(plant.postgres.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(plant.postgres.start)


async def _ask_for(http: httpx2.AsyncClient, plant: Plant, lasts_s: float) -> list[tuple[float, str]]:
    """Ask again and again for so long; return the refusals for want of the database."""
    loop = asyncio.get_running_loop()
    until, answers = loop.time() + lasts_s, []
    while loop.time() < until:
        answers.append(await _needs_storage(http, plant))
        await asyncio.sleep(PAUSE_S)
    return [answer for answer in answers if answer[1] != KNOWN]


async def _needs_storage(http: httpx2.AsyncClient, plant: Plant) -> tuple[float, str]:
    """Show a key that nobody has: only the database can tell. Return (seconds, the error's code)."""
    loop = asyncio.get_running_loop()
    node = random.choice(plant.serving)
    key = {"Authorization": f"Bearer {plant.people.key[:-8]}{secrets.token_hex(4)}"}
    begun = loop.time()
    answer = await http.get(f"http://127.0.0.1:{node.port}/api/v1/rooms/app:x/presence", headers=key)
    return loop.time() - begun, str(answer.json()["code"])


@dataclass
class Ghosts:
    """What a node's SIGKILL left behind.

    Attributes:
        left_s: For each of its users, seconds from the SIGKILL until the other node said that they have left.
    """

    users: int
    left_s: list[float] = field(default_factory=list)


async def ghosts(plant: Plant, first_user: int, users: int, room: str = "app:ghosts") -> Ghosts:
    """Let users sit on one node, kill it, and wait on the other one until all of them are gone."""
    loop, found = asyncio.get_running_loop(), Ghosts(users)
    victim, other = plant.nodes[0], plant.nodes[1]
    assert victim.port is not None
    assert other.port is not None
    present: set[int] = set()
    changed = asyncio.Event()
    killed_at = 0.0

    def watch(wire: Wire, said: Said) -> None:
        if said["type"] != "room_event":
            return
        for member in said.get("members", []) + ([said["member"]] if said["event"] == "member_joined" else []):
            present.add(member["user_id"])
        if said["event"] == "member_left":
            present.discard(said["member"]["user_id"])
            found.left_s.append(loop.time() - killed_at)
        changed.set()

    watcher = await open_wire(other.port, plant.people.headers_of(other.port, first_user), watch)
    watcher.say("subscribe", id=1, room_id=room, presence=True)
    sitting = []
    for user in range(first_user + 1, first_user + 1 + users):
        wire = await open_wire(victim.port, plant.people.headers_of(victim.port, user))
        wire.say("subscribe", id=1, room_id=room)
        sitting.append(wire)
    await _until(changed, lambda: len(present) == users + 1)
    killed_at = loop.time()
    await victim.kill()
    await _until(changed, lambda: len(found.left_s) == users)
    for wire in (watcher, *sitting):
        wire.cut()
    plant.restart_soon(victim)
    await plant.settled()
    return found


async def _until(changed: asyncio.Event, so: Callable[[], bool]) -> None:
    async with asyncio.timeout(CEILING_S):
        while not so():
            changed.clear()
            await changed.wait()


async def kill_in_turns(storm: Storm, times: int) -> None:
    """SIGKILL one node while the other serves, wait until everybody is back and both serve; so many times."""
    loop, plant = asyncio.get_running_loop(), storm.plant
    for number in range(times):
        await storm.ledger.wait(storm.ledger.acknowledged + 100)
        victim = plant.nodes[number % len(plant.nodes)]
        storm.faults.killed_at.append(loop.time())
        await victim.kill()
        await storm.all_inside()
        plant.restart_soon(victim)
        await plant.settled()


@dataclass
class Exodus:
    """What the SIGKILL of one of two nodes with very many clients was like.

    Attributes:
        resumed_s: For each of its clients, seconds from the SIGKILL until it was in its room again.
        delays: Seconds from a publish until a client of the other node had it, in that time, seen by another process.
        crowded: The same, seen by the process that plays all the clients, and is busy with those who come back.
        looked_up, recorded: Transactions in Postgres in that time, to find out who the clients are, and others.
    """

    resumed_s: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    crowded: list[float] = field(default_factory=list)
    looked_up: int = 0
    recorded: int = 0


async def exodus(storm: Storm, found: Exodus) -> None:
    """Kill the first node, and wait until all are back, on the other one."""
    ledger, (victim, survivor) = storm.ledger, storm.plant.nodes
    assert survivor.port is not None
    headers = storm.plant.people.headers_of(survivor.port, storm.scale.users - 1)
    async with watching(survivor.port, headers, storm.rooms[:WITNESSED]) as witness:
        # What is published while it comes was not sent for it.
        ledger.timed = True
        await _exodus(storm, found, victim, survivor)
        came = await witness.tell()
    found.delays += [at - ledger.sent[name] for name, times in came.items() if name in ledger.sent for at in times]


async def _exodus(storm: Storm, found: Exodus, victim: Node, survivor: Node) -> None:
    loop, ledger = asyncio.get_running_loop(), storm.ledger
    total, asked = await _transactions(storm.plant), await _look_ups(survivor)
    killed_at = loop.time()
    # Those who are not moved; what is replayed to the others is as late as they are.
    steady = {follower for follower in storm.followers if follower.port != victim.port}
    storm.seen.heard = lambda who, name: _note(found.crowded, ledger.sent, name, loop.time()) if who in steady else None
    storm.seen.resumes.clear()
    moved = len(storm.followers) - len(steady)
    await victim.kill()
    await until(lambda: len(storm.seen.resumes) >= moved, CEILING_S)
    await storm.all_inside()
    found.resumed_s += [lost + took - killed_at for lost, took in storm.seen.resumes]
    storm.seen.heard = None
    found.looked_up = await _look_ups(survivor) - asked
    found.recorded = await _transactions(storm.plant) - total - found.looked_up


def _note(delays: list[float], sent: Mapping[str, float], name: str, now: float) -> None:
    if name in sent:
        delays.append(now - sent[name])


async def _look_ups(node: Node) -> int:
    """Return how often the node has taken a connection to the database to answer a client."""
    async with httpx2.AsyncClient(timeout=CEILING_S, trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{node.port}/metrics")).text
    found = re.search(r"^tidewire_database_pool_requests_taken_total (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


async def _transactions(plant: Plant) -> int:
    """Return how many there have been in the platform's database."""
    connection = await asyncpg.connect(plant.people.url)
    try:
        # Other sessions tell their counts once a second at most.
        await asyncio.sleep(1.5)
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
