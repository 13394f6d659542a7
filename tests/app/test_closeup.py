"""One connection over HTTP: alive with rooms and history, ended with code and reason, long ended from the database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from tests.app.test_admin_connections import LIST
from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.platform import Served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tidewire.core.protocol import data_body

__all__ = ["valkey"]


async def closeup(http: httpx2.AsyncClient, connection_id: str, **parameters: Any) -> dict[str, Any]:
    """Look at a connection."""
    answer = await http.get(f"{LIST}/{connection_id}/closeup", params=parameters)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_every_figure_is_what_was_done_by_hand_and_the_end_is_told(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """On another node: messages, rooms, seconds as counted by hand; at the end code and reason; then the record."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two), one.http("ada") as ada:
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with two.raw("bob", User_Agent="desk/4.2") as bob:
            mine = (await bob.expect("connection", status="connected"))["connection_id"]
            first = await closeup(ada, mine)
            assert [second[1:3] for second in first["seconds"]] == [[0, first["connection"]["messages_out"]]]
            for room_id in ("app:desk", "public:all"):
                bob.say("subscribe", id=room_id, room_id=room_id)
                await bob.expect("reply", id=room_id, ok=True)
            for number in range(3):
                await two.side.hub.post("app:desk", data_body(b"%d" % number))
                await bob.expect("room_message", data=number)
            now = await closeup(ada, mine)
            row = now["connection"]
            assert (row["username"], row["node"], row["user_agent"], row["ip"]) == (
                "bob",
                "two",
                "desk/4.2",
                "127.0.0.1",
            )
            assert (row["messages_in"], now["closed"]) == (2, None)
            rooms = {each["room_id"]: each for each in now["rooms"]}
            assert sorted(rooms) == ["app:desk", "public:all", "user:2"]
            assert (rooms["app:desk"]["offset"], rooms["app:desk"]["members"], rooms["app:desk"]["member"]) == (
                3,
                1,
                True,
            )
            assert (rooms["app:desk"]["delivery"], rooms["app:desk"]["lost"]) == ("lossless", 0)
            # A later look has all seconds since the first, and by ``after`` only what is new.
            later = await eventually(lambda: closeup(ada, mine), lambda found: len(found["seconds"]) >= 3)
            assert later["seconds"][0] == first["seconds"][0]
            assert later["watched_since"] == first["watched_since"]
            assert later["seconds"][-1][1:4] == [2, row["messages_out"], row["bytes_in"]]
            newest = later["seconds"][-1][0]
            assert all(second[0] > newest for second in (await closeup(ada, mine, after=newest))["seconds"])
            two.side.hub.force_disconnect(mine)
            assert await bob.close_code() == 4503
        over = await eventually(lambda: closeup(ada, mine), lambda found: found["closed"] is not None)
        assert (over["closed"]["close_code"], over["closed"]["reason"]) == (4503, "force_disconnect")
        assert over["closed"]["meaning"] == "An administrator closed this connection."
        assert (over["connection"], over["closed"]["node"], over["closed"]["username"]) == (None, "two", "bob")
        assert over["seconds"][0] == first["seconds"][0]
        for side in (one.side, two.side):
            side.hub._board.registry.recent.clear()
        # Rows are written in batches.
        found = await eventually(lambda: closeup(ada, mine), lambda found: found["closed"]["close_code"] is not None)
        old = found["closed"]
        assert (old["close_code"], old["reason"], old["user_id"]) == (4503, "force_disconnect", 2)


async def test_who_may_look_and_what_is_unknown(site: Served) -> None:
    """Admins only; an id that never was is not found by name; absurd moments are refused."""
    for username, status in ((None, 401), ("bob", 403), ("mod", 403)):
        async with site.http(username) as http:
            assert (await http.get(f"{LIST}/c-1/closeup")).status_code == status
    async with site.http("ada") as ada:
        for unknown in ("c-never", "' OR 1=1 --", "x" * 300):
            problem(await ada.get(f"{LIST}/{unknown}/closeup"), 404, "not_found")
        for after in ("-1", "nan", "1e12", "x"):
            assert (await ada.get(f"{LIST}/c-1/closeup", params={"after": after})).status_code == 422


async def test_what_is_held_back_and_lost_is_told_by_room(site: Served) -> None:
    """A reader that stopped: of each room what waits and what it did not get; forgotten with the room."""
    async with asyncio.timeout(30), site.raw("bob") as bob, site.http("ada") as ada:
        mine = (await bob.expect("connection", status="connected"))["connection_id"]
        for room_id in ("public:a", "public:b"):
            bob.say("subscribe", id=room_id, room_id=room_id)
            await bob.expect("reply", id=room_id, ok=True)
        session = site.side.hub.session(mine)
        assert session is not None
        site.side.hub.slow(session)
        for _ in range(4):
            await site.side.hub.post("public:a", data_body(b'"kept"'))
        await site.side.hub.post("public:b", data_body(b'"lost"'), delivery="volatile")
        await until(lambda: len(session.outbox) == 4)
        rooms = {each["room_id"]: each for each in (await closeup(ada, mine))["rooms"]}
        assert (rooms["public:a"]["queued_messages"], rooms["public:a"]["lost"]) == (4, 0)
        assert rooms["public:a"]["queued_bytes"] > 4 * len("kept")
        assert (rooms["public:b"]["queued_messages"], rooms["public:b"]["lost"]) == (0, 1)
        assert session.outbox.statistics().dropped == 1
        session.quick()
        await bob.expect("room_message", data="kept")
        rooms = {each["room_id"]: each for each in (await closeup(ada, mine))["rooms"]}
        assert (rooms["public:a"]["queued_messages"], rooms["public:b"]["lost"]) == (0, 1)
        bob.say("unsubscribe", id=9, room_id="public:b")
        await bob.expect("reply", id=9, ok=True)
        assert session.outbox.by_room() == {}
