"""Revocation: nothing that was published after it is delivered, whatever the order (reliability.md bars R14, R15)."""

from __future__ import annotations

import json
import random

from tests.hub.conftest import Stage, turns
from tests.support.hub_server import principal
from tests.support.seed import seed
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.core import protocol
from tidewire.core.errors import StoreError

ROOM = "market:AAPL"
MAY = DEFAULTS[Role.USER]
MAY_NOT = MAY - {"market:view"}


async def test_ten_thousand_interleavings_of_revoke_and_publish() -> None:
    """Publish, revoke, grant, subscribe, flush at random: nothing of the room arrives while it may not."""
    chance = random.Random(seed(14))
    stage = Stage(messages_per_second=1e9, burst=1e9)
    clients = [await stage.client("user-1", batch=bool(n)) for n in range(2)]
    allowed = True
    delivered = revoked = 0
    for number in range(10_000):
        step = chance.choices(("publish", "revoke", "grant", "subscribe", "flush"), weights=(50, 8, 8, 14, 20))[0]
        if step == "publish":
            stage.hub.publish(ROOM, protocol.data_body(json.dumps(number).encode()), key="AAPL")
        elif step in ("revoke", "grant"):
            revoked += allowed and step == "revoke"
            allowed = step == "grant"
            stage.hub.standing.change_user(1, Role.USER, MAY if allowed else MAY_NOT)
        elif step == "subscribe":
            chance.choice(clients).send("subscribe", room_id=ROOM)
        else:
            await turns(2)
        for n, client in enumerate(clients):
            came = client.read("room_message")
            assert allowed or not came
            delivered += len(came)
            # Refused subscribes count as errors; ten in a row end a connection, as they should.
            if client.socket.closed is not None:
                client.lose()
                clients[n] = await stage.client("user-1", batch=bool(n))
                stage.hub.standing.change_user(1, Role.USER, MAY if allowed else MAY_NOT)
    assert revoked > 100
    assert delivered > 500
    await stage.hub.stop()


async def test_a_lost_push_is_caught_by_looking_again() -> None:
    """Asked for at each heartbeat: changed permissions apply, an ended login closes, an outage does not."""
    answers: list[Principal | Exception | None] = [
        StoreError("down"),
        principal(1, permissions=MAY_NOT),
        None,
    ]

    async def recheck(known: Principal) -> Principal | None:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    stage = Stage(recheck=recheck)
    await stage.hub.start()
    client = await stage.client("user-1")
    client.send("subscribe", room_id=ROOM)
    client.read()
    for wanted in ("heartbeat", "unsubscribed", "connection"):
        await stage.clock.advance(25.5)
        assert client.read()[-1]["type"] == wanted
        client.send("ping")
        client.read()
    assert client.socket.closed == (4512, "logged_out")
    assert stage.hub.statistics().failures == {"recheck": 1}
    await stage.hub.stop()
