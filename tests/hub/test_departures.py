"""Searching, keeping rows in sight, the recently closed and closing many, over three nodes on one bus."""

from __future__ import annotations

import pytest

from tests.hub.test_nodes_as_one import every_page, started
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.departures import ClosedQuery, Departures


@pytest.mark.parametrize(
    ("text", "users"), [("USER-1", [1, 1]), ("192.0.2.", [1, 1, 2]), ("test", [1, 1, 2]), ("er-2\n192", []), ("x", [])]
)
async def test_a_text_is_searched_in_name_address_program_and_id(text: str, users: list[int]) -> None:
    """Any part in any case, on every node; not across fields."""
    async with started() as three:
        clients = [await three.client(which, token) for which, token in enumerate(("user-1", "user-2", "user-1"))]
        rows = await every_page(three.everywhere[0], ConnectionQuery(text=text))
        assert sorted(row.user_id or 0 for row in rows) == users
        (mine,) = await every_page(three.everywhere[0], ConnectionQuery(text=clients[2].session.connection_id.upper()))
        assert mine.node == "n3"


async def test_rows_in_sight_come_with_every_page() -> None:
    """Named rows come beside the page wherever they stand now; those of the page and the gone do not."""
    async with started() as three:
        clients = [await three.client(number % 3, f"user-{number + 1}") for number in range(6)]
        ids = [client.session.connection_id for client in clients]
        clients[4].lose()
        page = await three.everywhere[0].connections(
            ConnectionQuery(sort="username", limit=2, user="", keep=(ids[0], ids[4], ids[5], "c-never"))
        )
        assert [row.connection_id for row in page.rows] == ids[:2]
        assert [(row.connection_id, row.node) for row in page.kept] == [(ids[5], "n3")]
        narrow = await three.everywhere[1].connections(ConnectionQuery(user="user-1", keep=tuple(ids)))
        assert {row.connection_id for row in narrow.kept} == set(ids) - {ids[0], ids[4]}
        # A row that another node's part had, but that the joined page cut off, is kept too.
        joined = await three.everywhere[0].connections(ConnectionQuery(sort="username", limit=1, keep=(ids[1],)))
        assert [row.connection_id for row in joined.rows + joined.kept] == ids[:2]


async def test_the_recently_closed_of_all_nodes_newest_first() -> None:
    """Code, the code's name and what it means; a connection lost without a close frame says so; searched and cut."""
    async with started() as three:
        gone = [Departures(node, stage.hub) for node, stage in zip(three.nodes, three.stages, strict=True)]
        clients = [await three.client(which, f"user-{which + 1}") for which in range(3)]
        for stage, client, code in zip(three.stages, clients, (1001, None, None), strict=True):
            # Each node's clock is its own; one second apart tells the order.
            await stage.clock.advance(float(stage.hub is client.hub))
            await three.stages[2].clock.advance(1.0)
            if client is clients[2]:
                stage.hub.force_disconnect(client.session.connection_id)
            client.lose(code)
        page = await gone[1].closed(ClosedQuery())
        found = [(row.username, row.node, row.close_code, row.reason) for row in page.rows]
        assert sorted(found) == [
            ("user-1", "n1", 1001, "going_away"),
            ("user-2", "n2", None, "lost"),
            ("user-3", "n3", 4503, "force_disconnect"),
        ]
        times = [row.closed_at for row in page.rows]
        assert times == sorted(times, reverse=True)
        assert found[0][0] == "user-3"
        assert page.rows[0].meaning == "An administrator closed this connection."
        assert all(row.held_s == pytest.approx(row.closed_at - row.connected_at) for row in page.rows)
        assert (page.remembered, page.matching, page.silent) == (3, 3, [])
        for text, users in (("FORCE", ["user-3"]), ("1001", ["user-1"]), ("user-", 3), ("nothing", [])):
            part = await gone[0].closed(ClosedQuery(text=text))
            names = [row.username for row in part.rows]
            assert (len(names) if isinstance(users, int) else names) == users
        cut = await gone[0].closed(ClosedQuery(limit=1))
        assert ([row.username for row in cut.rows], cut.matching) == (["user-3"], 3)


async def test_many_are_closed_wherever_they_are_and_nobody_else() -> None:
    """Two of three nodes' connections by one question; one named twice closes once; the rest stays."""
    async with started() as three:
        gone = [Departures(node, stage.hub) for node, stage in zip(three.nodes, three.stages, strict=True)]
        clients = [await three.client(number % 3, f"user-{number + 1}") for number in range(5)]
        ids = [client.session.connection_id for client in clients]
        done = await gone[0].disconnect([ids[4], ids[0], ids[4], "c-unknown"])
        closed = [(kick.connection.connection_id, kick.connection.node, kick.was_closing) for kick in done.closed]
        assert closed == [(ids[4], "n2", False), (ids[0], "n1", False)]
        assert (done.missing, done.silent, done.cut_off) == (["c-unknown"], [], "")
        assert [client.socket.closed for client in clients] == [
            (4503, "force_disconnect"), None, None, None, (4503, "force_disconnect"),
        ]  # fmt: skip
        again = await gone[2].disconnect([ids[4]])
        assert [kick.was_closing for kick in again.closed] == [True]
