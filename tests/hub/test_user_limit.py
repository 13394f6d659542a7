"""Over the limit by a dead node's numbers: such a user waits for the other nodes, and keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.support.nodes import Node, nodes
from tests.support.valkey import valkey, valkey_url
from tests.support.waiting import until
from tidewire.bus.redis_user_counts import RedisUserCounts
from tidewire.core.errors import BusError
from tidewire.hub.door import ADMITTED_AT_ONCE

__all__ = ["valkey", "valkey_url"]
# Nobody else on the shared server is called so.
USERS = range(9_000, 9_000 + ADMITTED_AT_ONCE + 5)
LIMIT = 1_000


class Others:
    """The other nodes: what they are asked, and when and what they answer."""

    def __init__(self) -> None:
        self.questions: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.counts: dict[int, int] = {}
        self.error: BusError | None = None

    async def __call__(self, user_ids: Sequence[int]) -> list[int]:
        """Answer when it is time."""
        self.questions.append(list(user_ids))
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [self.counts.get(user_id, 0) for user_id in user_ids]


@pytest.fixture
async def node(valkey_url: str) -> AsyncIterator[Node]:
    """A node on a broker where a dead one has left its numbers: as many as are allowed, for each user."""
    async with nodes(valkey_url) as (made,):
        slots = RedisUserCounts(made.log.commands)
        for user_id in USERS:
            await slots.write(user_id, "gone", LIMIT)
        yield made
        for user_id in USERS:
            await slots.write(user_id, "gone", 0)


@pytest.fixture
def others(node: Node) -> Others:
    """They are asked by the node."""
    made = Others()
    node.hub.know_nodes(made, lambda: ({"node-1"}, []))
    return made


async def test_who_is_disputed_keeps_nobody_else_waiting(node: Node, others: Others) -> None:
    """More than have a turn wait for an answer: the next is welcomed. Then all are, after three questions at most."""
    disputed = [node.connect(f"user-{user_id}") for user_id in USERS]
    await until(lambda: len(others.questions) == 1)
    await node.client("user-2")
    assert not any(client.session.lifecycle.open for client in disputed)
    others.may_answer.set()
    for client in disputed:
        await client.take("connection")
    assert all(client.session.lifecycle.open for client in disputed)
    assert sorted(user_id for question in others.questions for user_id in question) == list(USERS)
    assert len(others.questions) <= 3


async def test_only_who_is_within_the_limit_is_let_in(node: Node, others: Others) -> None:
    """Five at once for three places: three, whatever the dead have written."""
    others.counts[USERS[0]] = LIMIT - 3
    others.may_answer.set()
    clients = [node.connect(f"user-{USERS[0]}") for _ in range(5)]
    await until(lambda: sum(client.socket.closed is not None for client in clients) == 2)
    for client in clients:
        await client.take("connection")
    assert [client.socket.closed for client in clients if client.socket.closed] == [(4504, "connection_limit")] * 2
    assert node.hub.user_connections(USERS[0]) == 3
    assert node.hub.statistics().limit["refused"] == 2


async def test_a_question_that_fails_lets_nobody_in(node: Node, others: Others) -> None:
    """Each who waits is sent away with 4100; who comes when it can be asked again is welcomed."""
    others.error = BusError("Nobody can be asked.", required_action="Wait.", will_not="Nobody is let in.")
    others.may_answer.set()
    clients = [node.connect(f"user-{USERS[which]}") for which in (0, 0, 1)]
    await until(lambda: all(client.socket.closed for client in clients))
    assert {client.socket.closed[0] for client in clients if client.socket.closed} == {4100}
    assert [node.hub.user_connections(user_id) for user_id in USERS[:2]] == [0, 0]
    assert node.hub.statistics().limit["refused"] == 0
    others.error = None
    await node.client(f"user-{USERS[0]}")
