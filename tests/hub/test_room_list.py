"""The rooms of three nodes as one list: members added up, each room once, sorted over all nodes, and their rates."""

from __future__ import annotations

import operator
from typing import get_args

import msgspec
import pytest

from tests.hub.test_nodes_as_one import Three, started
from tidewire.core.protocol import data_body
from tidewire.hub import room_list
from tidewire.hub.room_list import RoomList, RoomListQuery, RoomRow, RoomSortKey
from tidewire.hub.room_rates import FORGET_AFTER_S, SAMPLE_EVERY_S, RoomRates


def lists(three: Three) -> list[RoomList]:
    """Return each node's list."""
    return [RoomList(node, stage.hub, stage.clock) for node, stage in zip(three.nodes, three.stages, strict=True)]


async def every_page(where: RoomList, query: RoomListQuery, node: str = "") -> list[RoomRow]:
    """Follow the pages to the end."""
    rows = list[RoomRow]()
    while True:
        page = await where.page(query, node)
        rows += page.rows
        assert (page.exact, page.silent, page.cut_off) == (True, [], "")
        if page.after is None:
            assert page.matching == len(rows)
            return rows
        query = msgspec.structs.replace(query, after=page.after)


async def settled(three: Three) -> None:
    """Let five users enter rooms on three nodes, and publish a different number of messages to each."""
    for number in range(5):
        client = await three.client(number % 3, f"user-{number + 1}")
        client.send("subscribe", room_id="app:all")
        client.send("subscribe", room_id=f"app:of-{number}")
        for _ in range(number * 7 % 5):
            three.stages[number % 3].hub.publish(f"app:of-{number}", data_body(b"1"))


async def test_rooms_are_listed_with_their_nodes() -> None:
    """By name, a page at a time: members of each node and all together, and whether the nodes agree on the epoch."""
    async with started() as three:
        await settled(three)
        where = lists(three)
        for limit in (1, 3, 50):
            rows = await every_page(where[2], RoomListQuery(prefix="app:", limit=limit))
            assert [row.room_id for row in rows] == ["app:all", *(f"app:of-{number}" for number in range(5))]
        assert (rows[0].members, rows[0].agreed) == (5, False)
        assert {each.node: each.members for each in rows[0].nodes} == {"n1": 2, "n2": 2, "n3": 1}
        assert [each.node for each in rows[2].nodes] == ["n2"]
        assert [row.members for row in (await where[0].page(RoomListQuery(prefix="app:"), "n3")).rows] == [1, 1]
        found = await every_page(where[1], RoomListQuery(text="ALL"))
        assert [row.room_id for row in found] == ["app:all"]
        assert await every_page(where[1], RoomListQuery(prefix="app:", text="user")) == []


@pytest.mark.parametrize("sort", get_args(RoomSortKey))
@pytest.mark.parametrize("descending", [False, True])
async def test_the_order_is_that_of_all_nodes_together(sort: RoomSortKey, descending: bool) -> None:
    """Whatever the order and the length of a page: every room once, by its value over all nodes."""
    async with started() as three:
        where = lists(three)
        await where[0].page(RoomListQuery())
        await settled(three)
        for stage in three.stages:
            await stage.clock.advance(2.0)
        value = operator.attrgetter(sort)
        for limit in (1, 4, 200):
            query = RoomListQuery(sort=sort, descending=descending, limit=limit)
            rows = await every_page(where[1], query)
            values = [(value(row) or 0, row.room_id) for row in rows]
            assert values == sorted(values, reverse=descending)
            # Their own rooms, those of one each, and the one that everybody is in.
            assert len(rows) == 11


async def test_rows_in_sight_come_with_the_first_answer() -> None:
    """A page that stays asks the nodes once; rooms in sight come whatever they match, those that are gone do not."""
    async with started() as three:
        await settled(three)
        where = lists(three)
        asked = list[str]()
        ask = three.nodes[0].ask

        async def counted(what: str, *args: object) -> object:
            asked.append(what)
            return await ask(what, *args)  # type: ignore[arg-type]

        three.nodes[0].ask = counted  # type: ignore[assignment,method-assign]
        first = await where[0].page(RoomListQuery(prefix="app:", limit=3))
        assert asked == ["room_figures", "room_rows"]
        names = tuple(row.room_id for row in first.rows)
        again = await where[0].page(RoomListQuery(prefix="app:", limit=3, keep=names))
        assert asked[2:] == ["room_figures"]
        assert again.rows == first.rows
        other = await where[0].page(RoomListQuery(prefix="app:of-4", keep=("app:all", "app:gone", "app:of-4")))
        assert [row.room_id for row in other.rows] == ["app:of-4"]
        assert [(row.room_id, row.members) for row in other.kept] == [("app:all", 5)]


async def test_a_node_with_too_many_rooms_says_that_the_order_is_not_that_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond the bound a node tells of the first by the order; the answer says so, and counts all that match."""
    async with started() as three:
        await settled(three)
        monkeypatch.setattr(room_list, "FIGURES_MAX", 2)
        page = await lists(three)[0].page(RoomListQuery(sort="members", descending=True, limit=1))
        assert (page.exact, page.rows[0].room_id) == (False, "app:all")


def test_a_rate_is_what_has_come_since_a_sample_some_seconds_ago() -> None:
    """None at first, then over 1 to 10 s; a room made anew counts from its beginning; old samples do not count."""
    rates = RoomRates()
    rates.observe(100.0, [("a", 10)])
    assert rates.rate("a", 10, 100.5) is None
    assert rates.rate("a", 30, 102.0) == 10.0
    rates.observe(100.0 + SAMPLE_EVERY_S, [("a", 60)])
    assert rates.rate("a", 80, 107.0) == 10.0
    assert rates.rate("b", 14, 107.0) == 2.0
    assert rates.rate("a", 7, 107.0) == 1.0
    rates.observe(105.0 + FORGET_AFTER_S, [("a", 1000)])
    assert rates.rate("a", 1001, 105.0 + FORGET_AFTER_S) is None
    assert rates.rate("a", 1002, 107.0 + FORGET_AFTER_S) == 1.0
