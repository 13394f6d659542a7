"""Ten thousand short lives in which a right is taken away at some moment (reliability.md bar R14).

Every kind of revocation meets every kind of room, connections that are being let in at that moment, readers that have
stopped, resumes and audiences. What a client gets after the revocation was published before it, or it is a fault.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from tests.hub.conftest import Client, Stage, turns
from tests.support.hub_server import principal
from tests.support.tape_socket import TapeSocket
from tidewire.accounts.credential import Credential
from tidewire.accounts.grants import grant_for, resolve
from tidewire.accounts.model import Principal, Role
from tidewire.core import protocol
from tidewire.hub.session import Peer

SEED = 20_261_121
ROUNDS = 10_000
STEPS = 9
USER = 1
QUOTE = "quote:00000000-0000-0000-0000-000000000001"
ROOMS = ("app:x", "market:AAPL", QUOTE, f"admin:system_monitoring:{USER}")
WHOLE = replace(principal(USER, Role.ADMIN), permissions=principal(USER, Role.SUPER).permissions)
REVOCATIONS = ("role", "permission", "premium", "disabled", "logout")


@dataclass
class Register:
    """What the accounts say; an answer may be older than the moment at which it arrives."""

    chance: random.Random
    now: Principal | None = WHOLE

    async def __call__(self, credential: Credential) -> Principal | None:
        """Look up first, then take a while."""
        found = self.now
        await turns(self.chance.randrange(4))
        return found


@dataclass
class Life:
    """One round: a user, up to three connections, and what they may see since when."""

    stage: Stage
    register: Register
    chance: random.Random
    clients: list[Client] = field(default_factory=list)
    taken_at: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)
    delivered: int = 0

    def step(self) -> None:
        """Do something."""
        steps = ("publish", "subscribe", "connect", "stick", "release", "unsubscribe")
        what = self.chance.choices(steps, weights=(40, 30, 10, 8, 8, 4))[0]
        room = self.chance.choice(ROOMS)
        self.trace.append(f"{what} {room}")
        if what == "publish":
            self.publish(room)
        elif what == "connect":
            self.connect()
        elif self.clients:
            client = self.chance.choice(self.clients)
            if what == "subscribe":
                client.send("subscribe", room_id=room, **self.since(room))
            elif what == "unsubscribe":
                client.send("unsubscribe", room_id=room)
            elif what == "stick":
                client.socket.stuck = True
            else:
                client.socket.release()

    def publish(self, room: str) -> None:
        """Publish; the variants of a quote say which one they are."""
        names = ("plain", "premium") if room == QUOTE else ("",)
        bodies = {name: protocol.data_body(json.dumps(name).encode()) for name in names}
        self.stage.hub.publish(room, bodies if room == QUOTE else bodies[""], key="k")

    def connect(self) -> None:
        """Come in; the answer about the credentials is still to come."""
        if len(self.clients) == 3:
            return
        socket, hub = TapeSocket(), self.stage.hub
        peer = Peer(ip="192.0.2.1", user_agent="test", path="/ws", batch=self.chance.random() < 0.5)
        session = hub.open(socket, peer, Credential("bearer", "any"))
        socket.on_slow = lambda: hub.slow(session)
        socket.on_quick = lambda: hub.quick(session)
        self.clients.append(Client(hub, socket, session))

    def since(self, room: str) -> dict[str, Any]:
        """Sometimes come back with a place from before."""
        info = self.stage.hub.room(room)
        if info is None or self.chance.random() < 0.5:
            return {}
        return {"since": {"epoch": info.epoch, "offset": max(0, info.offset - self.chance.randrange(4))}}

    def revoke(self, kind: str) -> None:
        """Take something away, as accounts do: first the truth, then the hub is told."""
        self.trace.append(f"REVOKE {kind}")
        hub, register = self.stage.hub, self.register
        if kind in ("disabled", "logout"):
            register.now = None
            hub.standing.end_user(USER) if kind == "disabled" else hub.standing.end_login(WHOLE.session_id)
        elif kind == "role":
            register.now = replace(WHOLE, role=Role.USER)
        else:
            lost = "market:view" if kind == "permission" else "premium:view"
            register.now = replace(WHOLE, permissions=WHOLE.permissions - {lost})
        if register.now is not None:
            hub.standing.change_user(USER, register.now.role, register.now.permissions)
        for room in ROOMS:
            info = hub.room(room)
            self.taken_at[room] = info.offset if info is not None else 0

    def check(self) -> None:
        """Nothing has come that was published after the right to it was taken."""
        for client in self.clients:
            for message in client.read():
                if "offset" in message and message["type"] != "subscribed":
                    self.delivered += 1
                    assert self.may_see(message), f"seed {SEED}: {self.trace} then {message}"

    def may_see(self, message: dict[str, Any]) -> bool:
        """Whether the message is from before the revocation, or still allowed."""
        room, now = message["room_id"], self.register.now
        if not self.taken_at or message["offset"] <= self.taken_at[room]:
            return True
        if now is None or not grant_for(now, resolve(room)).enter:
            return False
        return message["data"] != "premium" or now.can("premium:view")


async def test_ten_thousand_revocations_at_any_moment() -> None:
    """Seeded rounds of publish, connect, subscribe, resume, stop and go on reading, with one revocation somewhere."""
    register = Register(random.Random(SEED))
    stage = Stage(authenticate=register, messages_per_second=1e9, burst=1e9)
    seen: Counter[str] = Counter()
    for number in range(ROUNDS):
        chance = random.Random(f"{SEED}:{number}")
        register.now, register.chance = WHOLE, chance
        life = Life(stage, register, chance, trace=[f"round {number}"])
        life.connect()
        at, kind = chance.randrange(STEPS), chance.choice(REVOCATIONS)
        for step in range(STEPS):
            if step == at:
                life.revoke(kind)
            life.step()
            await turns(chance.choice((0, 0, 1, 5)))
            life.check()
        for client in life.clients:
            client.socket.release()
        await turns(5)
        life.check()
        seen[kind] += life.delivered
        for client in life.clients:
            client.lose()
    # Each kind has met messages on their way, or the rounds prove nothing about it.
    assert min(seen[kind] for kind in REVOCATIONS) > 1_000, seen
    assert stage.hub.statistics().failures == {}
    await stage.hub.stop()


@pytest.mark.parametrize("batch", [False, True])
async def test_losing_a_premium_with_nothing_on_its_way_says_nothing(stage: Stage, batch: bool) -> None:
    """Every connection of the user moves to the other audience, and none gets an empty frame."""
    clients = [await stage.client(f"user-{USER}", batch=batch) for _ in range(2)]
    stage.hub.standing.change_user(USER, Role.USER, WHOLE.permissions)
    for client in clients:
        client.send("subscribe", room_id=QUOTE)
        client.read()
    assert stage.hub.standing.change_user(USER, Role.USER, WHOLE.permissions - {"premium:view"}) == 2
    assert [client.read() for client in clients] == [[], []]
    stage.hub.publish(QUOTE, {name: protocol.data_body(json.dumps(name).encode()) for name in ("plain", "premium")})
    await turns()
    assert [[m["data"] for m in client.read()] for client in clients] == [["plain"], ["plain"]]
