"""The connection cap: all three policies that were reported of the real service (feed-protocol.md 1.4)."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack

import msgspec
import pytest

from tests.feed.simulator.peer import KEY, Peer, dialled, logged_in, running
from tidewire.feed.simulator.config import SimulatorConfig
from tidewire.feed.simulator.venue import Close, Venue
from tidewire.feed.simulator.wire import MAX_CONNECTIONS


async def assert_evicted(peer: Peer) -> None:
    """It must be told max_connections, in the reported words, then closed with 1008."""
    code, statuses = await peer.closed()
    assert code == 1008
    assert (statuses[-1]["status"], statuses[-1]["message"]) == MAX_CONNECTIONS


async def test_oldest_the_newcomer_streams() -> None:
    """The fourth connection lives, the first one dies."""
    async with running(rate=5_000) as simulator, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(logged_in(simulator, "T.*")) for _ in range(4)]
        await assert_evicted(peers[0])
        for peer in peers[1:]:
            await peer.until(lambda event: event["ev"] == "T")
        assert simulator.state().counters.evicted == 1


async def test_newest_is_told_only_after_it_subscribed() -> None:
    """The newcomer gets connected, auth_success and its acknowledgement, and then dies; the others do not notice."""
    async with running(rate=5_000, eviction="newest", max_connections=1) as simulator:
        async with logged_in(simulator, "T.*") as first, logged_in(simulator, "AM.AAPL") as second:
            await assert_evicted(second)
            await first.until(lambda event: event["ev"] == "T")
        async with logged_in(simulator, "T.*") as third:
            await third.until(lambda event: event["ev"] == "T")


def test_random_is_seeded_and_hits_old_and_new() -> None:
    """Over forty seeds each of three connections dies at some time, and the same seed kills the same one."""

    def victim(seed: int) -> int:
        config = SimulatorConfig(eviction="random", max_connections=2)
        venue = Venue(config, {}, random.Random(seed).random)
        for _ in range(3):
            session, _ = venue.open(0.0)
            acts = venue.receive(session.number, auth_message(), 0.0)
        return next(act.session for act in acts if isinstance(act, Close))

    victims = [victim(seed) for seed in range(40)]
    assert set(victims) == {1, 2, 3}
    assert [victim(seed) for seed in range(40)] == victims


async def test_random_evicts_exactly_one_over_sockets() -> None:
    """Of three connections on a cap of two, one is told and closed, and two stay."""
    async with running(eviction="random", max_connections=2) as simulator, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(dialled(simulator)) for _ in range(3)]
        for peer in peers:
            await peer.log_in()
        assert simulator.state().counters.evicted == 1
        assert len([c for c in simulator.state().connections if c.stage == "authenticated"]) == 2


def auth_message() -> bytes:
    """Return the auth message of the default key."""
    return msgspec.json.encode({"action": "auth", "params": KEY})


@pytest.mark.parametrize("eviction", ["oldest", "newest", "random"])
async def test_the_cap_is_per_key(eviction: str) -> None:
    """Connections of another key do not count."""
    async with running(eviction=eviction, max_connections=1, keys=(KEY, "other-key"), rate=5_000) as simulator:
        async with logged_in(simulator, "T.*") as mine, dialled(simulator) as theirs:
            await theirs.log_in("other-key")
            await theirs.subscribe("T.*")
            for peer in (mine, theirs):
                await peer.until(lambda event: event["ev"] == "T")
        assert simulator.state().counters.evicted == 0
