"""What a feature may do: messages of its own, letting a client in, speaking to one connection or one node's room."""

from __future__ import annotations

import msgspec
import pytest

from tests.hub.conftest import Stage, turns
from tests.support.hub_server import principal
from tidewire.accounts.grants import Address
from tidewire.accounts.model import Principal
from tidewire.core.errors import Conflict
from tidewire.hub.command import Command
from tidewire.hub.session import Session

QUOTE = "quote:6f1c1f5e-3a54-4c8e-9a0b-0f5d2c7b9e11"


class Greet(msgspec.Struct, frozen=True, tag_field="type", tag="greet"):
    """A message of a feature."""

    name: str
    id: int | None = None


async def test_features_speak_the_hubs_words(stage: Stage) -> None:
    """Replies, refusals with details, unknown members: as for every message; two of one name are refused."""

    def greet(session: Session, message: Greet) -> bytes:
        if message.name == "nobody":
            raise Conflict("There is nobody.", required_action="Name somebody.", will_not="No.", details={"n": 1})
        return b'{"hello":"%b"}' % message.name.encode()

    stage.hub.features.add([Command(Greet, greet)])
    with pytest.raises(ValueError, match="greet"):
        stage.hub.features.add([Command(Greet, greet)])
    client = await stage.client("user-1")
    client.send("greet", id=1, name="ada")
    client.send("greet", id=2, name="nobody")
    client.send("greet", id=3)
    client.send("greet", name="nobody")
    good, bad, wrong = client.read("reply")
    assert good["data"] == {"hello": "ada"}
    assert (bad["error"]["code"], bad["error"]["details"]) == ("conflict", {"n": 1})
    assert wrong["error"]["code"] == "bad_request"
    assert "details" not in wrong["error"]
    client.send("greet", name="nobody")
    assert client.read("error")[-1]["details"] == {"n": 1}


async def test_entering_a_room_for_a_feature_is_subscribing(stage: Stage) -> None:
    """The same answers and the same grants; whispers reach those inside, and leaving is told."""
    features = stage.hub.features
    client, other = await stage.client("user-1"), await stage.client("user-2")
    await features.enter(client.session, QUOTE)
    assert client.read("subscribed")[-1]["room_id"] == QUOTE
    assert features.inside(client.session, QUOTE)
    assert features.connected(client.session.connection_id, QUOTE)
    assert not features.connected(other.session.connection_id, QUOTE)
    assert features.occupied("quote:") == [QUOTE]
    assert features.whisper(QUOTE, b'{"n":1}', kind="word") == 1
    await turns()
    assert [message["n"] for message in client.read("word")] == [1]
    assert other.read("word") == []
    features.leave(client.session, QUOTE, "because", "You must go.")
    assert client.read("unsubscribed")[0]["reason"] == "because"
    assert features.occupied("quote:") == []
    assert features.whisper(QUOTE, b'{"n":2}', kind="word") == 0


async def test_other_permissions_are_told_to_features(stage: Stage) -> None:
    """A member who stays with other permissions is named once, with those of before; one with the same is not."""
    moved: list[frozenset[str]] = []

    def note(session: Session, address: Address, before: Principal | None) -> None:
        if address.room_id == QUOTE:
            assert (session.connection_id, before is None) == (client.session.connection_id, False)
            moved.append(before.permissions if before else frozenset())

    stage.hub.features.on_moved(note)
    client = await stage.client("user-1")
    await stage.hub.features.enter(client.session, QUOTE)
    rights = principal(1).permissions
    more = rights | {"premium:view"}
    for permissions in (rights, more, more, more | {"audit:read"}, rights):
        stage.hub.standing.change_user(1, principal(1).role, permissions)
    assert moved == [rights, more, more | {"audit:read"}]
