"""Counting once for all who watch, what changes told on every node, and what happens when it cannot be counted."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.support.analytics_rows import HOUR_S, Made, put, some
from tests.support.analytics_stage import AnalyticsStage, DashboardPage, analytics_stage
from tests.support.nodes import NodeClient
from tests.support.waiting import until
from tidewire.analytics.views import FAILED_S, PAUSE_S, REFRESH_S, RESULTS
from tidewire.core.errors import StoreError
from tidewire.quotes.news import CHANNEL as QUOTES_CHANGED
from tidewire.store.database import Database


async def started(client: NodeClient, dashboard: str = "quotes", **filters: Any) -> DashboardPage:
    """Watch a dashboard; return the page with its snapshot."""
    reply = await client.ask("start_analytics", dashboard=dashboard, filters=filters)
    assert reply["ok"], reply
    page = DashboardPage(reply["data"]["room_id"])
    # What was counted while it was on its way may have come before it.
    page.receive(await client.take(lambda message: message["type"] == "analytics_update" and message["complete"]))
    return page


async def read(client: NodeClient, page: DashboardPage) -> list[dict[str, Any]]:
    """Take all that has been published, and return it."""
    await until(lambda: not any(room.pending for room in client.hub.each_room()))
    await client.ask("ping")
    found, client.inbox = client.inbox, []
    for message in found:
        page.receive(message)
    return found


async def changed(stage: AnalyticsStage) -> None:
    """Tell, as the quotes do, that some quote has changed; wait until every node knows."""
    before = stage.bus.status().delivered
    stage.bus.publish(QUOTES_CHANGED, [b"{}"])
    await until(lambda: stage.bus.status().delivered > before)


async def test_a_view_is_counted_once_however_many_watch(both: Database) -> None:
    """Ten people on two nodes see the same figures, and each change of them, for one count of each node."""
    await put(both, some(60, now=time.time()))
    async with analytics_stage(both) as stage:
        clients = [stage.nodes[number % 2].connect(3) for number in range(10)]
        pages = [await started(client) for client in clients]
        # Each node counts when its first watcher comes, who does not wait for anybody else.
        assert stage.counted == 2
        for number in range(3):
            await put(both, [Made(time.time(), customer=f"new-{number}", state="NY")])
            await changed(stage)
            for _ in range(3):
                await stage.turn(2 * PAUSE_S)
            assert stage.counted == 2 + 2 * (number + 1)
            for client, page in zip(clients, pages, strict=True):
                await read(client, page)
            assert len({json.dumps(page.parts) for page in pages}) == 1
            assert pages[0].parts["totals"]["quotes"] == sum(pages[0].parts["statuses"].values())
        assert min(page.changes for page in pages) >= 3
        assert {page.snapshots for page in pages} == {1}


async def test_without_news_one_node_counts_for_all(both: Database) -> None:
    """Time moves on: who is due first tells the others, who need not count."""
    async with analytics_stage(both) as stage:
        pages = {}
        for node in stage.nodes:
            client = node.connect(3)
            pages[client] = await started(client)
        await put(both, [Made(time.time())])
        first, second = stage.nodes
        taken, counted = second.side.views.counts["taken"], stage.counted
        stage.clock.ahead_s += 2 * REFRESH_S
        await first.side.views.step()
        await until(lambda: second.side.views.counts["taken"] > taken)
        await second.side.views.step()
        assert stage.counted == counted + 1
        for client, page in pages.items():
            await read(client, page)
            assert page.parts["totals"] == {"quotes": 1, "customers": 1}


async def test_only_what_has_changed_is_sent(both: Database) -> None:
    """After a new quote in Washington: totals, statuses, states and timeline, not the premium; then only the time."""
    now = time.time()
    await put(both, some(60, now=now))
    async with analytics_stage(both, 1) as stage:
        client = stage.nodes[0].connect(3)
        page = await started(client)
        await read(client, page)
        await put(both, [Made(now, state="WA")])
        await changed(stage)
        await stage.turn(2 * PAUSE_S)
        sent = [m for m in await read(client, page) if m["type"] == "analytics_update"]
        assert [set(m["parts"]) for m in sent] == [{"totals"}, {"statuses"}, {"states"}, {"timeline"}]
        before = page.as_of
        await stage.turn(2 * REFRESH_S)
        sent = [m for m in await read(client, page) if m["type"] == "analytics_update"]
        assert [m["parts"] for m in sent] == [{}]
        assert page.as_of > before


async def test_nothing_that_happens_is_lost_between_nodes(both: Database) -> None:
    """A change told while the other node's count was under way is counted by oneself, whatever was taken from it."""
    async with analytics_stage(both) as stage:
        client = stage.nodes[1].connect(3)
        page = await started(client)
        await put(both, [Made(time.time())])
        await changed(stage)
        # The other node's result, counted before the change and heard after it.
        old = {**page.parts, "totals": {"quotes": 0, "customers": 0}}
        stale = json.dumps(["elsewhere", page.room_id, page.as_of + 0.5, old]).encode()
        before = stage.nodes[1].side.views.counts["taken"]
        stage.bus.publish(RESULTS, [stale])
        await until(lambda: stage.nodes[1].side.views.counts["taken"] > before)
        await stage.turn(2 * PAUSE_S)
        await read(client, page)
        assert page.parts["totals"] == {"quotes": 1, "customers": 1}


async def test_garbage_on_the_bus_stops_nothing(both: Database) -> None:
    """What is no result and no event is counted, and the figures stay."""
    async with analytics_stage(both, 1) as stage:
        client = stage.nodes[0].connect(3)
        page = await started(client)
        views, news = stage.nodes[0].side.views, stage.nodes[0].side.news
        for payload in (b"", b"\xff", b"[1]", b'{"event":1}', b"[" * 2_000, b'["x","analytics:quotes","now",{}]'):
            stage.bus.publish(RESULTS, [payload])
            stage.bus.publish("tidewire:analytics:events", [payload])
        await until(lambda: views.counts["unreadable"] == 6 and news.counts["unreadable"] == 6)
        await read(client, page)
        assert page.parts["totals"] == {"quotes": 0, "customers": 0}


async def test_a_failing_database_is_told_with_its_reason_and_over_when_it_answers(both: Database) -> None:
    """The figures stay with their age, the reason comes once, and goes with the next count."""
    await put(both, [Made(time.time() - 5)])
    async with analytics_stage(both, 1) as stage:
        client = stage.nodes[0].connect(3)
        page = await started(client)
        await read(client, page)
        views, as_of = stage.nodes[0].side.views, page.as_of
        count = views._count
        views._count = _broken
        for _ in range(3):
            await stage.turn(2 * REFRESH_S)
        sent = [m for m in await read(client, page) if m["type"] == "analytics_update"]
        assert [list(m["parts"]) for m in sent] == [["failure"]]
        assert page.parts["failure"]["code"] == "storage_unavailable"
        assert page.parts["failure"]["required_action"]
        assert page.parts["failure"]["will_not"]
        assert (page.parts["totals"]["quotes"], page.as_of) == (1, as_of)
        late = stage.nodes[0].connect(4)
        assert (await started(late)).parts["failure"]["code"] == "storage_unavailable"
        views._count = count
        await stage.turn(2 * FAILED_S)
        await read(client, page)
        assert "failure" not in page.parts
        assert page.as_of > as_of


async def _broken(*_: Any) -> Any:
    raise StoreError("The database is away.", required_action="Wait.", will_not="Nothing is counted.")


async def test_a_view_that_cannot_be_counted_at_all_is_refused(both: Database) -> None:
    """Who comes while there are no figures is told why, and is not left in the room."""
    async with analytics_stage(both, 1) as stage:
        stage.nodes[0].side.views._count = _broken
        client = stage.nodes[0].connect(3)
        reply = await client.ask("start_analytics", dashboard="quotes")
        assert (reply["ok"], reply["error"]["code"]) == (False, "storage_unavailable")
        assert (await client.take("unsubscribed"))["reason"] == "state_unavailable"
        assert not stage.nodes[0].hub.occupied("analytics:quotes")


async def test_what_nobody_watches_is_not_counted(both: Database) -> None:
    """After the last one has left nothing is counted, and later the view is forgotten."""
    async with analytics_stage(both, 1) as stage:
        client = stage.nodes[0].connect(3)
        await started(client)
        assert (await client.ask("stop_analytics", dashboard="quotes"))["data"] == {"rooms": ["analytics:quotes"]}
        await changed(stage)
        await stage.turn(2 * REFRESH_S)
        assert stage.counted == 1
        await stage.turn(4 * REFRESH_S)
        assert stage.nodes[0].side.views.statistics()["views"] == 0


async def test_who_comes_back_after_a_while_gets_all_that_changed(both: Database) -> None:
    """Figures that moved on while nobody was inside are told in full, also to one who resumes the room."""
    async with analytics_stage(both, 1) as stage:
        node = stage.nodes[0]
        client = node.connect(3)
        page = await started(client)
        await read(client, page)
        since = {"epoch": page.place[0], "offset": page.place[1]} if page.place else None
        client.lose()
        await put(both, [Made(time.time())])
        await changed(stage)
        await stage.turn(2 * PAUSE_S)
        again = node.connect(3)
        await again.enter("analytics:quotes", since=since)
        await stage.turn(2 * PAUSE_S)
        await read(again, page)
        assert page.parts["totals"] == {"quotes": 1, "customers": 1}


async def test_what_another_node_counts_while_nobody_is_here_is_not_missed(both: Database) -> None:
    """Figures that come over the bus to an empty room are not taken for told: who resumes the room gets them."""
    async with analytics_stage(both, 1) as stage:
        node = stage.nodes[0]
        client = node.connect(3)
        page = await started(client)
        await read(client, page)
        since = {"epoch": page.place[0], "offset": page.place[1]} if page.place else None
        client.lose()
        await put(both, [Made(time.time())])
        parts = {**page.parts, "totals": {"quotes": 1, "customers": 1}}
        before = stage.bus.status().delivered
        stage.bus.publish(RESULTS, [json.dumps(["elsewhere", page.room_id, page.as_of + 1, parts]).encode()])
        await until(lambda: stage.bus.status().delivered > before)
        again = node.connect(3)
        await again.enter("analytics:quotes", since=since)
        await stage.turn(2 * REFRESH_S)
        await read(again, page)
        assert page.parts["totals"] == {"quotes": 1, "customers": 1}


async def test_the_window_moves_on(both: Database) -> None:
    """A quote leaves the figures when it is older than the hours that were asked for."""
    await put(both, [Made(time.time() - HOUR_S + 60), Made(time.time())])
    async with analytics_stage(both, 1) as stage:
        client = stage.nodes[0].connect(3)
        page = await started(client, hours=1)
        assert page.parts["totals"]["quotes"] == 2
        await stage.turn(120)
        await read(client, page)
        assert page.parts["totals"]["quotes"] == 1


async def test_views_are_counted_one_after_the_other(both: Database) -> None:
    """However many come at once with however many filters: never two statements of analytics at a time."""
    async with analytics_stage(both, 1) as stage:
        views = stage.nodes[0].side.views
        count, under_way, most = views._count, 0, 0

        async def watched(*given: Any) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await count(*given)
            finally:
                under_way -= 1

        views._count = watched
        clients = [stage.nodes[0].connect(3) for _ in range(6)]
        for hours, client in enumerate(clients, 1):
            client.send("start_analytics", dashboard="quotes", filters={"hours": hours})
        for client in clients:
            await client.take("analytics_update")
        assert (most, stage.counted) == (1, 6)


async def test_there_is_an_end_to_views(both: Database, monkeypatch: Any) -> None:
    """One view more than a node can count is refused with three sentences; one that exists already is not."""
    monkeypatch.setattr("tidewire.analytics.views.VIEWS_MAX", 2)
    async with analytics_stage(both, 1) as stage:
        for hours in (1, 2):
            await started(stage.nodes[0].connect(3), hours=hours)
        reply = await stage.nodes[0].connect(3).ask("start_analytics", dashboard="quotes", filters={"hours": 3})
        assert reply["error"]["code"] == "too_many_views"
        assert reply["error"]["required_action"]
        assert reply["error"]["will_not"]
        await started(stage.nodes[0].connect(3), hours=2)
