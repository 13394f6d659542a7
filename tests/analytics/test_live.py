"""Dashboards over the real socket of a real process: who may, what is told at once, and what is refused."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.analytics_rows import Made, ask, put, some
from tests.support.analytics_stage import DashboardPage
from tests.support.platform import Served
from tests.support.quotes import PREMIUM, make_quote, rate
from tests.support.ws_client import RawClient, messages_of
from tidewire.store.database import Database

FACTS = {"customer_name": "Ada", "state": "CA", "product": "personal_auto"}


def database_of(site: Served) -> Database:
    """The site's database."""
    return site.web.storage.requests


async def start(client: RawClient, dashboard: str = "quotes", **filters: Any) -> dict[str, Any]:
    """Watch a dashboard; return the snapshot."""
    client.say("start_analytics", id=f"start-{dashboard}", dashboard=dashboard, filters=filters)
    snapshot = await client.expect("analytics_update", dashboard=dashboard, complete=True)
    reply = await client.expect("reply", id=f"start-{dashboard}")
    assert reply["ok"], reply
    started = {name: reply["data"][name] for name in ("room_id", "dashboard", "filters")}
    assert started == {"room_id": snapshot["room_id"], "dashboard": dashboard, "filters": snapshot["filters"]}
    assert ("CA" in reply["data"]["choices"]["states"]) is (dashboard != "performance")
    return snapshot


async def all_until_reply(client: RawClient, request_id: int) -> list[dict[str, Any]]:
    """Return every message up to a reply, which is the last of them."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["type"] != "reply" or heard[-1]["id"] != request_id:
        if not client.messages:
            _, payload = await client.read_frame()
            client.messages += messages_of(payload)
        heard.append(client.messages.pop(0))
    return heard


async def answered(client: RawClient, **wanted: Any) -> dict[str, Any]:
    """Return the next event of an answer whose data are these."""
    while True:
        event = await client.expect("analytics_event", event="api_response")
        if all(event["data"][name] == value for name, value in wanted.items()):
            return event


async def test_what_people_do_with_quotes_is_told_at_once_and_counted(site: Served) -> None:
    """A quote that is made and one that is bound are events on the spot; the figures follow, and are the database's."""
    await put(database_of(site), some(40, now=time.time()))
    async with site.raw("mod") as mod, site.http("mod") as http:
        page = DashboardPage("analytics:quotes")
        page.receive(await start(mod))
        made = (await http.post("/api/v1/quotes", json={"fields": FACTS})).json()
        event = await mod.expect("analytics_event", event="quote_created")
        assert (event["state"], event["product"], event["data"]) == (
            "CA",
            "personal_auto",
            {"quote_id": made["quote_id"]},
        )
        assert event["room_id"] == "analytics:quotes"
        assert "offset" not in event
        wanted = page.parts["totals"]["quotes"] + 1
        while page.parts["totals"]["quotes"] != wanted:
            page.receive(await mod.expect("analytics_update"))
        ((count, customers),) = await ask(database_of(site), "SELECT count(*), count(DISTINCT customer) FROM quotes")
        assert count == 41
        assert customers == page.parts["totals"]["customers"]


async def test_binding_is_told_as_a_conversion_without_its_price(site: Served) -> None:
    """``quote_converted`` says which quote and after how long; nobody learns a premium from it."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    quote_id = await make_quote(site, effective_date=tomorrow.isoformat())
    await rate(site, quote_id)
    async with site.raw("mod") as mod, site.http("mod") as http:
        await start(mod, "conversion")
        quote = (await http.get(f"/api/v1/quotes/{quote_id}")).json()
        bound = await http.post(f"/api/v1/quotes/{quote_id}/bind", headers={"If-Match": f'"{quote["version"]}"'})
        assert bound.status_code == 200, bound.text
        event = await mod.expect("analytics_event", event="quote_converted")
        assert event["data"]["quote_id"] == quote_id
        assert event["data"]["took_s"] >= 0
        assert PREMIUM not in json.dumps(event)
        update = await mod.expect("analytics_update", complete=False)
        while "funnel" not in update["parts"]:
            update = await mod.expect("analytics_update", complete=False)
        assert (update["parts"]["funnel"]["quoted"], update["parts"]["funnel"]["bound"]) == (1, 1)


async def test_answers_and_calculations_are_told_and_timed(site: Served) -> None:
    """Each answer of the API is an event by its route, never its path; what was answered is counted by its outcome."""
    quote_id = await make_quote(site)
    async with site.raw("mod") as mod, site.http("mod") as http:
        await start(mod, "performance", hours=1)
        assert (await http.get(f"/api/v1/quotes/{quote_id}")).status_code == 200
        event = await answered(mod, route="/api/v1/quotes/{quote_id}")
        assert event["data"]["status"] == 200
        assert event["data"]["took_ms"] > 0
        assert quote_id not in json.dumps(event)
        assert (await http.get("/api/v1/quotes/nothing")).status_code == 400
        for path in ("/api/v1/admin/alerts", "/api/admin/websocket-status"):
            assert (await http.get(path)).status_code in {200, 403}
        assert (await http.get("/api/nowhere")).status_code == 404
        assert (await answered(mod, status=404))["data"]["route"] == "other"
        assert (await http.post(f"/api/v1/quotes/{quote_id}/calculate")).status_code == 202
        ended = await mod.expect("analytics_event", event="calculation_complete")
        assert (ended["data"]["quote_id"], ended["data"]["outcome"]) == (quote_id, "failed")
        await site.side.analytics.recorder.flush()
        api = calculations = None
        while api is None or calculations is None:
            parts = (await mod.expect("analytics_update", dashboard="performance", complete=False))["parts"]
            api, calculations = parts.get("api", api), parts.get("calculations", calculations)
        # Counted by hand: made, read, refused twice, calculated; not what operators' pages ask.
        assert (api["count"], api["refused"], api["faults"]) == (5, 2, 0)
        assert (calculations["count"], calculations["ends"]["failed"]) == (1, 1)
        rows = await ask(database_of(site), "SELECT kind, outcome, count FROM analytics_timings ORDER BY kind, outcome")
        assert [tuple(row) for row in rows] == [("api", "2xx", 3), ("api", "4xx", 2), ("calculation", "failed", 1)]


async def test_events_are_for_whom_they_concern(site: Served) -> None:
    """A filter holds back events of other states, and of other dashboards; its room is named after it."""
    async with site.raw("mod") as mod, site.raw("ada") as ada, site.http("mod") as http:
        assert (await start(mod, "quotes", state="NY"))["room_id"] == "analytics:quotes.s-ny"
        await start(ada, "quotes")
        await http.post("/api/v1/quotes", json={"fields": FACTS})
        await http.post("/api/v1/quotes", json={"fields": {**FACTS, "state": "NY"}})
        assert (await ada.expect("analytics_event"))["state"] == "CA"
        assert (await mod.expect("analytics_event"))["state"] == "NY"
        ada.say("ping", id=7)
        assert {m["event"] for m in await all_until_reply(ada, 7) if m["type"] == "analytics_event"} == {
            "quote_created"
        }


@pytest.mark.parametrize(
    ("dashboard", "filters", "named"),
    [
        ("nothing", {}, "dashboard"),
        ("quotes'; DROP TABLE quotes; --", {}, "dashboard"),
        ("quotes", {"hours": 0}, "hours"),
        ("quotes", {"hours": -1}, "hours"),
        ("quotes", {"hours": 721}, "hours"),
        ("quotes", {"hours": 10**9}, "hours"),
        ("quotes", {"hours": 10**400}, "hours"),
        ("quotes", {"hours": 1.5}, "hours"),
        ("quotes", {"hours": True}, "hours"),
        ("quotes", {"hours": "24"}, "hours"),
        ("quotes", {"hours": [24]}, "hours"),
        ("quotes", {"state": "CA' OR '1'='1"}, "state"),
        ("quotes", {"state": "ca"}, "state"),
        ("quotes", {"state": "ZZ"}, "state"),
        ("quotes", {"state": ""}, "state"),
        ("quotes", {"state": {"$ne": None}}, "state"),
        ("conversion", {"product": "personal_auto; DELETE FROM quotes"}, "product"),
        ("conversion", {"product": 7}, "product"),
        ("performance", {"state": "CA"}, "state"),
        ("quotes", {"customer": "Ada"}, "customer"),
        ("quotes", {"x" * 5_000: 1}, "x" * 40),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_by_name(
    site: Served, dashboard: str, filters: dict[str, Any], named: str
) -> None:
    """The error names the filter, says what may be sent, and that nothing is counted; nobody is in any room."""
    async with site.raw("mod") as mod:
        mod.say("start_analytics", id=1, dashboard=dashboard, filters=filters)
        reply = await mod.expect("reply", id=1)
        assert reply["ok"] is False
        error = reply["error"]
        if len(str(filters.get("hours", ""))) > 100:
            # A number of that length is not JSON that anybody can be meant to read.
            assert error["code"] in ("bad_filter", "bad_request")
        else:
            assert (error["code"], error["details"]) == ("bad_filter", {"filter": named})
        assert error["message"]
        assert error["required_action"]
        assert error["will_not"]
        assert site.side.analytics.views.statistics()["views"] == 0


@pytest.mark.parametrize("message", [{}, {"dashboard": 7}, {"dashboard": "quotes", "filters": []}, {"dashboard": ""}])
async def test_a_message_that_is_none_is_refused(site: Served, message: dict[str, Any]) -> None:
    """A missing dashboard and filters that are no object are named."""
    async with site.raw("mod") as mod:
        mod.say("start_analytics", id=1, **message)
        assert (await mod.expect("reply", id=1))["error"]["code"] == "bad_request"


async def test_a_room_of_no_view_says_so(site: Served) -> None:
    """Who subscribes to a room of a dashboard that cannot be is told why nothing comes; other names are no rooms."""
    async with site.raw("mod") as mod:
        mod.say("subscribe", id=1, room_id="analytics:quotes.h900")
        update = await mod.expect("analytics_update")
        assert update["parts"]["failure"]["code"] == "bad_filter"
        mod.say("subscribe", id=2, room_id="analytics:sales")
        assert (await mod.expect("reply", id=2))["error"]["code"] == "bad_request"


async def test_a_room_entered_by_subscribe_gets_all_parts(site: Served) -> None:
    """Without start_analytics there is no snapshot, but every part comes with the first count."""
    async with site.raw("mod") as mod:
        mod.say("subscribe", id=1, room_id="analytics:conversion")
        names: set[str] = set()
        while names != {"funnel", "time_to_bind", "states", "products"}:
            names |= (await mod.expect("analytics_update", complete=False))["parts"].keys()


async def test_without_the_permission_nothing_is_told(site: Served) -> None:
    """Who may not read analytics is refused, whatever the filter, and gets neither figures nor events."""
    async with site.raw("bob") as bob, site.http("bob") as http:
        for filters in ({}, {"hours": 0}):
            bob.say("start_analytics", id=str(filters), dashboard="quotes", filters=filters)
            error = (await bob.expect("reply", id=str(filters)))["error"]
            assert error["code"] == "permission_denied"
            assert "analytics:read" in error["message"]
        bob.say("subscribe", id="room", room_id="analytics:quotes")
        assert (await bob.expect("reply", id="room"))["error"]["code"] == "permission_denied"
        assert (await http.post("/api/v1/quotes", json={"fields": FACTS})).status_code == 201
        bob.say("ping", id="end")
        await bob.expect("reply", id="end")
        assert not [m for m in bob.messages if m["type"].startswith("analytics")]


async def test_losing_the_permission_ends_it_at_once(site: Served) -> None:
    """unsubscribed with its reason, then nothing more of any dashboard, and no new one."""
    async with site.raw("mod") as mod, site.raw("ada") as ada, site.http("ada") as http:
        await start(mod, "quotes")
        await start(mod, "performance")
        await start(ada, "quotes")
        await site.accounts.change_user("mod", denials=frozenset({"analytics:read"}))
        gone = [await mod.expect("unsubscribed") for _ in range(2)]
        assert {one["reason"] for one in gone} == {"permission_revoked"}
        assert {one["room_id"] for one in gone} == {"analytics:quotes", "analytics:performance"}
        await http.post("/api/v1/quotes", json={"fields": FACTS})
        await ada.expect("analytics_event")
        await ada.expect("analytics_update", complete=False)
        mod.say("start_analytics", id=9, dashboard="quotes")
        (refused,) = await all_until_reply(mod, 9)
        assert refused["error"]["code"] == "permission_denied"


async def test_premiums_are_only_for_those_who_may_see_them(site: Served) -> None:
    """Without premium:view the part is withheld in every message; granted and taken away, a new snapshot says so."""
    await put(database_of(site), [Made(time.time() - 60, quoted_at=time.time() - 50, amount="1234.56")])
    await site.accounts.change_user("bob", grants=frozenset({"analytics:read"}))
    async with site.raw("bob") as bob, site.raw("mod") as mod, site.http("mod") as http:
        assert (await start(bob))["parts"]["premium"] == {"withheld": True}
        averages = [{"currency": "USD", "quotes": 1, "average": "1234.56"}]
        assert (await start(mod))["parts"]["premium"] == {"withheld": False, "averages": averages}
        await put(database_of(site), [Made(time.time() - 60, quoted_at=time.time() - 50, amount="1234.58")])
        await http.post("/api/v1/quotes", json={"fields": FACTS})
        while "premium" not in (told := (await mod.expect("analytics_update", complete=False))["parts"]):
            pass
        assert told["premium"]["averages"][0]["average"] == "1234.57"
        while "premium" not in (told := (await bob.expect("analytics_update", complete=False))["parts"]):
            pass
        assert told["premium"] == {"withheld": True}
        assert "1234" not in json.dumps(bob.messages)
        await site.accounts.change_user("bob", grants=frozenset({"analytics:read", "premium:view"}))
        assert (await bob.expect("analytics_update", complete=True))["parts"]["premium"]["withheld"] is False
        await site.accounts.change_user("bob", grants=frozenset({"analytics:read"}))
        assert (await bob.expect("analytics_update", complete=True))["parts"]["premium"] == {"withheld": True}


async def test_another_filter_takes_the_place_of_the_one_before(site: Served) -> None:
    """Of one dashboard a connection has one view; others stay. Stopping ends one, or all; twice is told."""
    async with site.raw("mod") as mod:
        await start(mod, "performance")
        await start(mod, "quotes")
        mod.say("start_analytics", id=9, dashboard="quotes", filters={"hours": 2})
        assert (await mod.expect("unsubscribed", room_id="analytics:quotes"))["reason"] == "requested"
        assert (await mod.expect("reply", id=9))["data"]["room_id"] == "analytics:quotes.h2"
        mod.say("stop_analytics", id=1, dashboard="quotes")
        assert (await mod.expect("reply", id=1))["data"] == {"rooms": ["analytics:quotes.h2"]}
        mod.say("stop_analytics", id=2, dashboard="quotes")
        assert (await mod.expect("reply", id=2))["error"]["code"] == "not_found"
        mod.say("stop_analytics", id=3)
        assert (await mod.expect("reply", id=3))["data"] == {"rooms": ["analytics:performance"]}


async def test_a_flood_of_answers_is_told_in_part_and_counted_in_full(site: Served) -> None:
    """More events than anybody reads are skipped, and how many is said; none is missing from the figures."""
    side = site.side.analytics
    async with site.raw("mod") as mod:
        await start(mod, "performance")
        scope = {"type": "http", "path": "/api/v1/x", "method": "GET"}
        for _ in range(500):
            side.answered(scope, 200, 0.001)
        told = 0
        while side.news.counts["skipped"] == 0 or told < 20:
            await mod.expect("analytics_event")
            told += 1
        skipped = side.news.counts["skipped"]
        # Twenty at once and ten a second: 500 in less than a second are never all told.
        assert 400 <= skipped <= 480
        await side.recorder.flush()
        rows = await ask(database_of(site), "SELECT sum(count) FROM analytics_timings WHERE kind = 'api'")
        assert rows[0][0] == 500
