"""What a closed socket leaves behind: nothing, even while the garbage collector does not look (footprint.py)."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.hub_server import make_hub, running
from tests.support.waiting import until
from tests.support.ws_client import upgraded

ROUNDS = 200
OURS = ("HubConnection", "WSTransport", "TCPTransport", "Session", "Outbox", "Lifecycle")


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Nothing is freed but by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("leaves", ["close_frame", "reset"])
async def test_a_socket_that_is_gone_is_freed_at_once(without_collector: None, leaves: str) -> None:
    """Sockets live for hours, and the collector looks at what is old about never: no cycle may keep them."""
    hub = make_hub()
    async with running(hub) as server:
        before = held()
        for number in range(ROUNDS):
            async with upgraded(server.port, Authorization=f"Bearer user-{number}") as client:
                await client.expect("connection", status="connected")
                client.say("subscribe", id=1, room_id="app:lobby")
                await client.expect("subscribed")
                if leaves == "close_frame":
                    assert hub.standing.end_user(number) == 1
                    assert await client.close_code() == 4511
                else:
                    client.writer.transport.abort()
            await until(lambda: hub.connection_count() == 0)
        # A few are still named by their next deadline (hub/timetable.py, 64 at most).
        await until(lambda: max((held() - before).values(), default=0) < ROUNDS / 2)


def held() -> Counter[str]:
    """Count the objects that make a connection."""
    names = (type(thing).__name__ for thing in gc.get_objects())
    return Counter(name for name in names if name in OURS)
