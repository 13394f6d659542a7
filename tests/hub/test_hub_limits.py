"""The hub with clients that need no network: deadlines, limits, slow readers, draining."""

from __future__ import annotations

import asyncio
import itertools

from tests.hub.conftest import Client, Stage, data, turns
from tidewire.accounts.model import Role
from tidewire.core import protocol
from tidewire.core.errors import StoreError
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.door import ADMITTED_AT_ONCE

UUID = "0b1f6d9a-9d3e-4a57-8f3e-0a1b2c3d4e5f"


# ---- deadlines and limits


async def test_a_storm_of_newcomers_is_looked_up_a_few_at_a_time(stage: Stage) -> None:
    """Never more than so many at once; who goes while waiting for a turn costs no look-up; all others get in."""
    stage.doorman.hold = asyncio.Event()
    clients = [await stage.client(f"user-{n}") for n in range(ADMITTED_AT_ONCE + 50)]
    await turns()
    assert len(stage.doorman.asked) == ADMITTED_AT_ONCE
    gone, rest = clients[-1], clients[:-1]
    stage.hub.lost(gone.session, None)
    stage.doorman.hold.set()
    await turns(20)
    assert all(client.session.lifecycle.open for client in rest)
    assert len(stage.doorman.asked) == len(rest)


async def test_the_heartbeat_finds_the_dead(stage: Stage) -> None:
    """Asked after 25 s with a message and a ping frame; a pong of either kind keeps the connection."""
    client = await stage.client("user-1")
    client.read()
    await stage.clock.advance(25.5)
    assert [m["type"] for m in client.read()] == ["heartbeat"]
    await stage.clock.advance(0.5)
    stage.hub.alive(client.session, client.socket.pings[0])
    assert client.session.round_trip_ms is not None
    assert 400 < client.session.round_trip_ms < 1_100
    await stage.clock.advance(24.5)
    assert len(client.socket.pings) == 2
    await stage.clock.advance(10.5)
    assert client.socket.closed == (4004, "no_pong")


async def test_too_many_messages_are_refused_with_a_time_to_wait(stage: Stage) -> None:
    """A burst of a hundred passes, the next is told when to come back, and later it is served again."""
    client = await stage.client("user-1")
    for n in range(120):
        client.send("ping", id=n)
    replies = client.read("reply")
    assert [r["id"] for r in replies if r["ok"]] == list(range(100))
    assert replies[-1]["error"]["code"] == "rate_limited"
    assert replies[-1]["error"]["retry_after_ms"] >= 1
    await stage.clock.advance(1.0)
    client.send("ping", id="later")
    assert client.read("reply")[-1]["ok"]
    for n in range(3_000):
        client.send("ping", id=n)
    assert client.socket.closed == (4103, "rate_limited")


async def test_ten_wrong_messages_in_a_row_end_the_connection(stage: Stage) -> None:
    """4509; a good one in between starts the count again."""
    client = await stage.client("user-1")
    for _ in range(9):
        client.raw(b"{")
    client.send("ping")
    for _ in range(9):
        client.raw(b"[]")
    assert client.socket.closed is None
    client.raw(b'{"type":"nonsense"}')
    assert client.socket.closed == (4509, "too_many_errors")


async def test_what_the_server_cannot_do_now_is_no_mistake_of_the_client(stage: Stage) -> None:
    """However often it is refused because the database is away, the connection stays."""
    client = await stage.client("user-1")
    stage.doorman.known["fresh"] = StoreError("away", required_action="wait", will_not="guess")
    for n in range(15):
        client.send("auth_refresh", id=n, token="fresh")
        await turns()
    errors = [reply["error"] for reply in client.read("reply")]
    assert [(error["code"], error["temporary"]) for error in errors] == [("storage_unavailable", True)] * 15
    assert client.socket.closed is None


async def test_no_more_rooms_than_allowed() -> None:
    """The limit is told by name; a room that one is in may be entered again."""
    stage = Stage(rooms_per_connection=3)
    client = await stage.client("user-1")
    for n in range(3):
        client.send("subscribe", id=n, room_id=f"app:{n}")
    assert [r["ok"] for r in client.read("reply")] == [True, True, False]
    client.send("subscribe", id=9, room_id="app:0")
    assert client.read("reply")[0]["ok"]
    await stage.hub.stop()


async def test_a_confused_client_is_told_to_start_again(stage: Stage) -> None:
    """It has seen a sequence that was never sent: 4002."""
    client = await stage.client("user-1")
    client.send("ping", last_sequence=2)
    assert client.read("pong")[0]["last_sequence"] == 2
    client.send("ping", last_sequence=99)
    assert client.socket.closed == (4002, "insufficient_state")


# ---- slow readers


def _stick(client: Client) -> None:
    client.read()
    client.socket.stuck = True


async def test_a_slow_reader_of_ticks_gets_the_newest(stage: Stage) -> None:
    """While it is stuck nothing piles up; afterwards one tick per symbol and an honest count."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    _stick(client)
    for price in range(200):
        stage.hub.publish("market:AAPL", data({"price": price, "pad": "x" * 100}), key="AAPL")
        await turns(2)
    held = client.session.outbox.statistics()
    assert held.messages == 1
    assert held.replaced > 150
    client.socket.release()
    assert client.read()[-1]["data"]["price"] == 199
    stage.hub.publish("market:AAPL", data({"price": 200}), key="AAPL")
    await turns()
    assert client.read()[-1]["data"]["price"] == 200


async def test_a_slow_reader_of_a_lossless_room_gets_a_gap_and_comes_back() -> None:
    """Over the hard mark the room goes silent with a word, and subscribing again fills the hole."""
    stage = Stage(outbox_bytes=8_000)
    slow, quick = await stage.client("user-1"), await stage.client("user-2")
    for client in (slow, quick):
        client.send("subscribe", room_id="app:x")
    epoch = slow.read("subscribed")[-1]["epoch"]
    _stick(slow)
    quick.read()
    for n in range(1, 61):
        stage.hub.publish("app:x", data({"n": n, "pad": "x" * 200}))
        await turns(2)
    assert slow.socket.closed is None
    slow.socket.release()
    stage.hub.publish("app:x", data({"n": 61}))
    await turns()
    *messages, gap = slow.read()
    numbers = [m["data"]["n"] for m in messages]
    assert numbers == list(range(1, len(numbers) + 1))
    assert (gap["type"], gap["from_offset"], gap["reason"]) == ("gap", len(numbers) + 1, "slow_consumer")
    assert [m["data"]["n"] for m in quick.read()] == list(range(1, 62))
    slow.send("subscribe", room_id="app:x", since={"epoch": epoch, "offset": gap["from_offset"] - 1})
    entered, *rest = slow.read()
    assert entered["recovered"]
    assert [m["data"]["n"] for m in rest] == list(range(len(numbers) + 1, 62))
    stage.hub.publish("app:x", data({"n": 62}))
    await turns()
    assert slow.read()[-1]["data"]["n"] == 62
    await stage.hub.stop()


async def test_a_stopped_reader_is_closed_and_costs_nothing_more(stage: Stage) -> None:
    """Eight seconds without draining: 4003, out of every room, cut two seconds later."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    _stick(client)
    for _ in range(20):
        stage.hub.publish("market:AAPL", data("x" * 200), key="AAPL")
        await turns(2)
    await stage.clock.advance(8.5)
    assert client.socket.closed == (4003, "slow_consumer")
    assert stage.hub.publish("market:AAPL", data(1), key="AAPL").reached == 0
    await stage.clock.advance(2.0)
    assert client.socket.aborted
    assert stage.hub.statistics().outbox_bytes == 0


async def test_who_cannot_resume_is_closed_when_full() -> None:
    """A connection's own messages cannot be fetched again: 4003."""
    stage = Stage(outbox_bytes=4_000)
    client = await stage.client("user-1")
    _stick(client)
    note = protocol.encode(protocol.Unsubscribed(room_id="app:x", reason="room_closed", message="x" * 500))
    for _ in range(20):
        stage.hub.send_to_user(1, note)
    assert client.socket.closed == (4003, "slow_consumer")
    await stage.hub.stop()


async def test_what_was_held_of_a_room_goes_with_the_permission(stage: Stage) -> None:
    """A slow reader gets nothing of the room after it has been put out, not even what waited for it."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    _stick(client)
    for price in range(20):
        stage.hub.publish("market:AAPL", data({"price": price, "pad": "x" * 200}), key="AAPL")
        await turns(2)
    assert client.session.outbox.statistics().messages == 1
    stage.hub.standing.change_user(1, Role.USER, frozenset())
    client.socket.release()
    messages = client.read()
    assert messages[-1]["type"] == "unsubscribed"
    assert all(m["data"]["price"] < 19 for m in messages[:-1])


# ---- ending


async def test_draining_tells_everybody_and_spreads_the_closes(stage: Stage) -> None:
    """Told at once with different hints, closed with 4000 over the window, never all together, nothing lost."""
    clients = [await stage.client(f"user-{n}") for n in range(1, 41)]
    for client in clients:
        client.send("subscribe", room_id="app:x")
        client.read()
    stage.hub.publish("app:x", data("last"))
    draining = asyncio.create_task(stage.hub.drain(10.0))
    await turns()
    assert not stage.hub.accepting
    closed = []
    for _ in range(10):
        closed.append(sum(c.socket.closed is not None for c in clients))
        await stage.clock.advance(1.0)
    await stage.clock.advance(3.0)
    assert await draining == 40
    steps = [after - before for before, after in itertools.pairwise(closed)]
    assert max(steps) <= 6
    hints = set()
    for client in clients:
        assert client.socket.closed == (4000, "drain")
        last, told, closing = client.read()
        hints.add(told["reconnect_after_ms"])
        assert (told["status"], last["data"], closing["status"]) == ("draining", "last", "closing")
    assert len(hints) == 40
    await stage.hub.stop()


async def test_a_lost_connection_leaves_no_trace_but_its_record(stage: Stage) -> None:
    """Registry, rooms and tasks are as before; the record knows how it ended."""
    client = await stage.client("user-1")
    client.send("subscribe", room_id="app:x")
    assert stage.hub.list_connections(ConnectionQuery()).rows[0].rooms == ["user:1", "app:x"]
    client.lose(1001)
    numbers = stage.hub.statistics()
    assert (numbers.connections, numbers.users, numbers.tasks, numbers.closed_by_code) == (0, 0, 0, {"1001": 1})
    (record,) = stage.hub.recently_closed()
    assert (record.user_id, record.close_code, record.messages_in) == (1, 1001, 1)
    assert stage.closed == [record]
    assert all(len(room) == 0 for room in stage.hub.each_room())
    await stage.clock.advance(700.0)
    assert stage.hub.each_room() == []


async def test_a_handler_that_breaks_is_our_fault_and_said_so(stage: Stage) -> None:
    """The client gets an error with an id to quote, the connection stays, the failure is counted."""
    client = await stage.client("user-1")
    client.read()
    stage.hub._board.rooms.enter = None  # type: ignore[assignment,method-assign]
    client.send("subscribe", id=1, room_id="app:x")
    assert client.read("reply")[0]["error"]["code"] == "internal_error"
    assert client.socket.closed is None
    assert stage.hub.statistics().failures == {"command": 1}
