"""Lists are told that they may have changed: soon, gathered, on every node, and nothing of what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Served
from tests.support.quote_stage import AUTHOR, Tab, staged
from tests.support.quotes import edit, make_quote, open_quote
from tests.support.ws_client import RawClient
from tidewire.quotes.editing import Edit

ROOM = "quotes:list"


@pytest.fixture
def url(sqlite_template: bytes, tmp_path: Path) -> str:
    """A migrated database."""
    path = tmp_path / "tidewire.db"
    path.write_bytes(sqlite_template)
    return f"sqlite:///{path}"


async def follow(client: RawClient) -> None:
    """Enter the lists' room."""
    client.say("subscribe", id="list", room_id=ROOM)
    await client.expect("reply", id="list", ok=True)


async def news(client: RawClient) -> dict[str, Any]:
    """Return the next news."""
    return await client.expect("quotes_changed")


async def test_whoever_has_a_list_is_told_of_every_kind_of_change(site: Served) -> None:
    """Making, editing over the socket, patching; the message says nothing but that."""
    async with site.raw("ada") as ada, site.raw("bob") as bob, site.http("bob") as http:
        await follow(ada)
        quote_id = await make_quote(site)
        message = await news(ada)
        assert set(message) - {"sequence"} == {"type", "room_id", "timestamp", "reason"}
        assert message["reason"] == "quotes"
        await open_quote(bob, quote_id)
        assert (await edit(bob, quote_id, "notes", "x", 0, "b-1"))["ok"]
        await news(ada)
        match = {"If-Match": '"4"'}
        patched = await http.patch(f"/api/v1/quotes/{quote_id}", json={"fields": {"notes": "y"}}, headers=match)
        assert patched.status_code == 200
        await news(ada)


async def test_nobody_without_the_permission_is_told(site: Served) -> None:
    """The room is closed to strangers and to those without quote:view, and nobody can publish into it."""
    await site.accounts.change_user("bob", denials=frozenset({"quote:view"}))
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        bob.say("subscribe", id=1, room_id=ROOM)
        assert (await bob.expect("reply", id=1))["error"]["code"] == "permission_denied"
        await follow(ada)
        ada.say("publish", id=2, room_id=ROOM, data={})
        assert (await ada.expect("reply", id=2))["error"]["code"] == "permission_denied"
        ada.say("subscribe", id=3, room_id="quotes:other")
        assert (await ada.expect("reply", id=3))["error"]["code"] == "bad_request"


async def test_changed_rights_are_news_to_the_one_they_concern(site: Served) -> None:
    """What a list shows depends on them; without quote:view there is no list any more."""
    async with site.raw("bob") as bob, site.raw("ada") as ada:
        await follow(bob)
        await follow(ada)
        await site.accounts.change_user("bob", denials=frozenset({"quote:edit"}))
        assert (await news(bob))["reason"] == "permissions"
        await site.accounts.change_user("bob", denials=frozenset({"quote:view"}))
        assert (await bob.expect("unsubscribed", room_id=ROOM))["reason"] == "permission_revoked"
        ada.say("ping", id=9)
        await ada.expect("pong")
        assert not [message for message in ada.messages if message["type"] == "quotes_changed"]


async def test_the_news_reach_every_node_and_many_changes_are_one(url: str) -> None:
    """Fifty changes between two looks are one message on each node; without any there is none."""
    async with staged(url) as stage:
        quote_id = await stage.make()
        tabs = [Tab.of(stage, quote_id, number + 1) for number in range(2)]
        news = [node.side.news for node in stage.nodes]
        for number, tab in enumerate(tabs):
            await tab.settle(number)
            await news[number].rounds.loop.stop()
            assert tab.client is not None
            await tab.client.enter(ROOM)
        desk = stage.nodes[0].side.desk
        for number in range(50):
            await desk.edit(quote_id, [Edit("notes", f"n{number}", number)], AUTHOR, None)
        for _ in range(3):
            for each in news:
                each.tick()
        for tab in tabs:
            assert tab.client is not None
            told = await tab.client.take("quotes_changed")
            assert told["room_id"] == ROOM
            assert (await tab.client.ask("ping"))["ok"]
            assert not [message for message in tab.client.inbox if message["type"] == "quotes_changed"]
        assert [each.statistics() for each in news] == [{"told": 1, "untold": 0}] * 2


async def test_news_that_the_bus_did_not_take_are_told_here_and_later_there(url: str) -> None:
    """While the bus is away a node tells its own lists, and keeps the news for the others."""
    async with staged(url) as stage:
        news = [node.side.news for node in stage.nodes]
        for each in news:
            await each.rounds.loop.stop()
        await stage.bus.stop()
        news[0].note()
        news[0].tick()
        assert (news[0].untold, news[0]._stored) == (1, True)
        await stage.bus.start()
        news[0].tick()
        assert (news[0]._stored, news[1]._heard) == (False, True)
