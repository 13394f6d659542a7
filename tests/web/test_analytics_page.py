"""The analytics page in Chromium on the real server: figures, filters, drill-down, export, and what can go wrong."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Page, expect

from tests.support.analytics_rows import HOUR_S, Made, ask, some
from tests.support.analytics_site import Analyst, analysing
from tests.support.page_visit import axe
from tidewire.core.errors import StoreError

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
FACTS = {"customer_name": "Somebody New", "state": "NY", "product": "personal_auto"}


@pytest.fixture
async def analyst(tmp_path: Path) -> AsyncIterator[Analyst]:
    """An analyst of a server with 200 quotes of 40 hours."""
    async with analysing(tmp_path, some(200, now=time.time())) as found:
        yield found


async def cells(page: Page, table: str) -> list[list[str]]:
    """Return the rows of a table as they are shown."""
    rows = await page.locator(f"#table-{table} tbody tr").all()
    return [await row.locator("th, td").all_inner_texts() for row in rows]


async def saved(page: Page) -> list[dict[str, str]]:
    """Press the button and read the file."""
    async with page.expect_download() as download:
        await page.get_by_test_id("export").click()
    path = await (await download.value).path()
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


async def lists(page: Page, analyst: Analyst) -> list[str]:
    """Every figure that is a link leads to a list of as many quotes; return what they are, as they are named."""
    links = await page.locator("a.a-list").evaluate_all(
        "(all) => all.map((one) => [one.textContent, one.getAttribute('href'), one.getAttribute('aria-label')])"
    )
    async with analyst.server.http("mod") as http:
        for shown, address, name in links:
            asked = parse_qs(address.partition("?")[2])
            answer = (await http.get("/api/v1/quotes", params={**asked, "limit": 200})).json()
            assert "quotes" in answer, answer
            found = len(answer["quotes"])
            assert answer["next"] is None
            assert (found, name) == (int(shown), name)
            assert sum(answer["counts"][status] for status in asked.get("status", answer["counts"])) == found
    return [name.partition(": ")[2] for _, _, name in links]


async def test_figures_are_the_databases_and_follow_what_happens(analyst: Analyst) -> None:
    """What stands on the page is what plain SQL counts; a new quote is told at once and counted within seconds."""
    page = await analyst.look()
    since = time.time() - 24 * HOUR_S
    recent = f"FROM quotes WHERE created_at >= datetime({since}, 'unixepoch')"

    async def count(what: str, more: str = "") -> list[Any]:
        return [list(row) for row in await ask(analyst.database, f"SELECT {what} {recent} {more}")]

    ((quotes, customers),) = await count("count(*), count(DISTINCT customer)")
    assert await analyst.figure(page, "quotes") == str(quotes)
    assert await analyst.figure(page, "customers") == str(customers)
    ((average,),) = await count("avg(json_extract(premium, '$.amount'))", "AND premium IS NOT NULL")
    assert await analyst.figure(page, "average_premium_USD") == f"${average:,.2f}"
    statuses = dict(await count("status, count(*)", "GROUP BY status"))
    assert [row[:2] for row in await cells(page, "statuses")] == [
        [name.capitalize(), str(statuses.get(name, 0))] for name in ("draft", "quoted", "bound", "expired")
    ]
    states = await count("state, count(*), sum(status = 'bound')", "GROUP BY state ORDER BY 2 DESC, 1")
    assert await cells(page, "states") == [[str(one) for one in row] for row in states]
    # The chart's twin: its sum is the total, and its newest hour is on top.
    await page.get_by_test_id("twin").locator("summary").click()
    await expect(page.locator("#table-timeline tbody tr")).to_have_count(25)
    hours = await cells(page, "timeline")
    assert sum(int(row[1]) for row in hours) == quotes
    named = await lists(page, analyst)
    for what in ("Quotes", "Quotes, Bound", "Quotes, CA", "Bound, NY"):
        assert f"List of the quotes counted: {what}" in named, named
    for what in ("Created", "Quoted", "Bound"):
        assert len([name for name in named if re.search(rf"counted: {what}, .*\d\d:\d\d", name)]) > 3, named
    named = await lists(await analyst.look("?dashboard=conversion&state=CA"), analyst)
    for what in ("Drafted", "Quoted", "Bound", "Quotes, Quoted", "Drafted, CA", "Bound, Personal auto"):
        assert f"List of the quotes counted: {what}" in named, named
    await expect(page.get_by_test_id("chart-created").locator("canvas")).to_have_count(1)
    await expect(page.get_by_test_id("chart-created")).to_have_attribute(
        "aria-label", re.compile("^Created, from .*highest")
    )
    await expect(page.get_by_test_id("age")).to_have_text(re.compile(r"^As of \d\d:\d\d:\d\d, (just now|\d+ s ago)$"))
    assert await axe(page) == []
    async with analyst.server.http("mod") as http:
        assert (await http.post("/api/v1/quotes", json={"fields": FACTS})).status_code == 201
    await expect(page.get_by_test_id("happening")).to_contain_text("A quote was made in NY")
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(str(quotes + 1))
    await expect(page.get_by_test_id("figure-customers").locator("dd")).to_have_text(str(customers + 1))


@pytest.mark.long
async def test_the_filter_stands_in_the_address_and_rows_lead_on(analyst: Analyst) -> None:
    """A state pressed in a table is the filter; back and reload keep it; a status leads to the list of quotes."""
    page = await analyst.look()
    whole = await analyst.figure(page, "quotes")
    rows = {row[0]: row[1] for row in await cells(page, "states")}
    await page.locator("#table-states").get_by_role("button", name="NY").click()
    await expect(page).to_have_url(re.compile(r"/analytics\?state=NY$"))
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(rows["NY"])
    await expect(page.get_by_test_id("state")).to_have_value("NY")
    await page.get_by_test_id("hours").select_option("1")
    await expect(page).to_have_url(re.compile(r"\?hours=1&state=NY$"))
    await page.get_by_test_id("tab-conversion").click()
    await expect(page).to_have_url(re.compile(r"\?dashboard=conversion&hours=1&state=NY$"))
    await expect(page.get_by_test_id("tab-conversion")).to_have_attribute("aria-current", "page")
    await page.go_back()
    await page.go_back()
    await expect(page).to_have_url(re.compile(r"\?state=NY$"))
    await page.reload()
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(rows["NY"])
    await page.get_by_test_id("clear").click()
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(whole)
    await page.locator("#table-statuses").get_by_role("button", name="Bound").click()
    await expect(page).to_have_url(re.compile(r"/quotes\?status=bound&created_from=[\d.]+&created_before=[\d.]+$"))
    # What cannot be is refused by name, and clearing it leads to the whole.
    await page.goto(f"{analyst.server.origin}/analytics?dashboard=x&hours=1e9&state=CA' OR 1=1&product=../..")
    for named in ("dashboard=x", "hours=1e9", "state=CA' OR 1=1", "product=../.."):
        await expect(page.get_by_test_id("banner-address")).to_contain_text(named)
    await page.get_by_test_id("address-plain").click()
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(whole)


async def test_the_file_is_exactly_what_is_shown(analyst: Analyst) -> None:
    """Each figure, table and step of the chart is in it once, with the filter and the moment; also while paused."""
    page = await analyst.look("?state=CA")
    shown = {name: await analyst.figure(page, name) for name in ("quotes", "customers")}
    rows = await saved(page)
    figures = {row["figure"]: row["value"] for row in rows if row["table"] == "figures"}
    assert shown == {name: figures[name] for name in shown}
    assert {(row["dashboard"], row["hours"], row["state"], row["product"]) for row in rows} == {
        ("quotes", "24", "CA", "")
    }
    statuses = {
        row["row"].capitalize(): row["value"] for row in rows if (row["table"], row["figure"]) == ("statuses", "quotes")
    }
    assert [row[:2] for row in await cells(page, "statuses")] == [[name, value] for name, value in statuses.items()]
    created = [int(row["value"]) for row in rows if (row["table"], row["figure"]) == ("timeline", "created")]
    assert sum(created) == int(shown["quotes"])
    await page.get_by_test_id("pause").click()
    async with analyst.server.http("mod") as http:
        await http.post("/api/v1/quotes", json={"fields": {**FACTS, "state": "CA"}})
    await expect(page.get_by_test_id("view-state")).to_contain_text(re.compile(r"Paused since .*; [1-9]\d* updates"))
    paused = {row["figure"]: row["value"] for row in await saved(page) if row["table"] == "figures"}
    assert paused["quotes"] == shown["quotes"] == await analyst.figure(page, "quotes")
    await page.get_by_test_id("age").click()
    await page.keyboard.press("Space")
    await expect(page.get_by_test_id("pause")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(str(int(shown["quotes"]) + 1))


@pytest.mark.long
async def test_conversion_and_performance_show_what_was_counted(analyst: Analyst) -> None:
    """The funnel is the quotes', its rates their shares; answers of the API are counted; in German and narrow, too."""
    page = await analyst.look("?dashboard=conversion", color_scheme="dark")
    ever = "id IN (SELECT quote_id FROM quote_changes WHERE field = 'status' AND after = :quoted)"
    ((drafted, quoted, bound),) = await ask(
        analyst.database,
        f"SELECT count(*), sum({ever}), sum(status = 'bound') FROM quotes "  # noqa: S608 - no input in it
        "WHERE created_at >= datetime(:since, 'unixepoch')",
        quoted='"quoted"',
        since=time.time() - 24 * HOUR_S,
    )
    assert [row[:2] for row in await cells(page, "funnel")] == [
        ["Drafted", str(drafted)], ["Quoted", str(quoted)], ["Bound", str(bound)]
    ]  # fmt: skip
    assert await analyst.figure(page, "overall_rate") == f"{100 * bound / drafted:.1f}%"
    assert await axe(page) == []
    async with analyst.server.http("mod") as http:
        for path in ("/api/v1/quotes", "/api/v1/quotes/fields", "/api/v1/quotes/nothing"):
            await http.get(path)
    narrow = await analyst.look(
        "?dashboard=performance&hours=1", locale="de-DE", viewport={"width": 320, "height": 800}
    )
    await analyst.server.side.analytics.recorder.flush()
    await expect(narrow.get_by_role("heading", level=1)).to_have_text("Auswertungen")
    await expect(narrow.get_by_test_id("figure-api_count").locator("dd")).to_have_text("3")
    assert ["API: abgelehnt (4xx)", "1"] in await cells(narrow, "outcomes")
    assert await narrow.evaluate("document.scrollingElement.scrollWidth") <= 320
    await expect(narrow.get_by_test_id("state")).to_be_hidden()
    assert await axe(narrow) == []


async def test_nothing_says_why_and_leads_out(tmp_path: Path) -> None:
    """Without quotes the page says for which time and filter, and what to do; a quote that comes ends it."""
    async with analysing(tmp_path, [Made(time.time() - 100 * HOUR_S)]) as analyst:
        page = await analyst.look("?state=CA&hours=6")
        empty = page.get_by_test_id("empty")
        await expect(empty).to_contain_text("No quotes: last 6 hours")
        await expect(empty).to_contain_text("No quote matches this filter")
        assert await axe(page) == []
        await page.get_by_test_id("empty-clear").click()
        await expect(empty).to_contain_text("No quotes: last 24 hours")
        await expect(page.get_by_test_id("empty-clear")).to_be_hidden()
        await page.get_by_test_id("hours").select_option("168")
        await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text("1")
        await page.get_by_test_id("hours").select_option("24")
        await expect(empty).to_be_visible()
        async with analyst.server.http("mod") as http:
            await http.post("/api/v1/quotes", json={"fields": FACTS})
        await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text("1")
        await expect(empty).to_be_hidden()


async def test_a_count_that_fails_is_told_and_old_figures_say_that_they_are(analyst: Analyst) -> None:
    """The reason in three sentences, the figures stay and fade; when it can be counted again all of it goes."""
    page = await analyst.look()
    views = analyst.server.side.analytics.views
    count = views._count

    async def broken(*_: Any) -> Any:
        raise StoreError("The database is away.", required_action="Wait for it.", will_not="Tidewire counts nothing.")

    views._count = broken
    views.mark(lambda _: True)
    banner = page.get_by_test_id("banner-uncounted")
    await expect(banner).to_contain_text("The database is away. Wait for it. Tidewire counts nothing.")
    await expect(page.get_by_test_id("figure-quotes")).to_be_visible()
    await page.clock.install()
    await page.clock.fast_forward(60_000)
    await expect(page.get_by_test_id("age")).to_have_text(re.compile("^Stale: as of"))
    await expect(page.get_by_test_id("analytics")).to_have_attribute("data-stale", "true")
    assert await axe(page) == []
    views._count = count
    await expect(banner).to_be_hidden()


async def test_who_may_no_longer_see_figures_sees_none(analyst: Analyst) -> None:
    """Taken while watching: nothing stays on the page, and it says what to do; given back, one press brings it back."""
    page = await analyst.look()
    await expect(page.get_by_test_id("nav-analytics")).to_have_attribute("aria-current", "page")
    await analyst.server.accounts.change_user("mod", denials=frozenset({"analytics:read"}))
    await expect(page.get_by_test_id("banner-revoked")).to_contain_text(
        "Ask an administrator for the permission analytics:read"
    )
    await expect(page.get_by_test_id("figure-quotes")).to_be_hidden()
    await expect(page.get_by_test_id("export")).to_be_disabled()
    assert await axe(page) == []
    await analyst.server.accounts.change_user("mod", denials=frozenset())
    await page.get_by_test_id("ask-again").click()
    await expect(page.get_by_test_id("figure-quotes")).to_be_visible()
    await expect(page.get_by_test_id("banner-revoked")).to_have_count(0)


async def test_premiums_are_only_on_pages_of_those_who_may_see_them(analyst: Analyst) -> None:
    """Without premium:view the page says so instead, in the file too; no message has an amount."""
    await analyst.server.accounts.change_user("bob", grants=frozenset({"analytics:read"}))
    page = await analyst.open("/login", "bob")
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    await page.goto(f"{analyst.server.origin}/analytics")
    tile = page.get_by_test_id("figure-average_premium")
    await expect(tile.locator("dd")).to_have_text("not shown to you")
    withheld = [row["value"] for row in await saved(page) if row["figure"].startswith("average_premium")]
    assert withheld == ["withheld"]
    assert heard
    assert not [text for text in heard if '"averages"' in text]
    await analyst.server.accounts.change_user("bob", grants=frozenset({"analytics:read", "premium:view"}))
    await expect(page.get_by_test_id("figure-average_premium_USD").locator("dd")).to_have_text(
        re.compile(r"^\$[\d,]+\.\d\d$")
    )


async def test_the_filters_of_a_figure_stand_on_the_list_and_go_one_by_one(analyst: Analyst) -> None:
    """An hour of one product: both are named on the list of quotes, taken away by keyboard, and out of the address."""
    page = await analyst.look("?product=personal_auto")
    await page.get_by_test_id("twin").locator("summary").click()
    link = page.locator("#table-timeline [data-cell=created] a").first
    shown = await link.inner_text()
    await link.click()
    await expect(page.get_by_test_id("sum")).to_have_text(f"{shown} of {shown} quotes")
    await expect(page.get_by_test_id("chip-product")).to_have_text("Product: Personal auto")
    await expect(page.get_by_test_id("chip-created")).to_have_text(re.compile(r"^Made from .*\d\d:\d\d.* until "))
    assert await axe(page) == []
    await page.reload()
    await expect(page.get_by_test_id("sum")).to_have_text(f"{shown} of {shown} quotes")
    await page.get_by_test_id("chip-created").press("Enter")
    await expect(page.get_by_test_id("chip-product")).to_be_focused()
    await expect(page).to_have_url(re.compile(r"/quotes\?product=personal_auto$"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("chips")).to_be_hidden()
    await expect(page.get_by_test_id("sum")).to_have_text("50 of 200 quotes")


async def test_without_the_permission_there_is_no_page(analyst: Analyst) -> None:
    """Neither the entry nor the page; anonymous people are led to the login."""
    page = await analyst.open("/quotes", "bob")
    await expect(page.get_by_test_id("nav-analytics")).to_have_count(0)
    async with analyst.server.http("bob") as http:
        assert (await http.get("/analytics")).status_code == 403
    async with analyst.server.http() as http:
        answer = await http.get("/analytics", headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/analytics")


async def test_a_connection_that_is_lost_is_told_and_made_up_for(analyst: Analyst) -> None:
    """The page says since when, its figures fade, and what changed meanwhile is there when it is back."""
    page = await analyst.look()
    before = int(await analyst.figure(page, "quotes"))
    hub = analyst.server.side.hub
    for session in list(hub._board.registry):
        hub.force_disconnect(session.connection_id)
    await expect(page.get_by_test_id("banner-ended")).to_contain_text("An administrator closed this connection.")
    await expect(page.get_by_test_id("analytics")).to_have_attribute("data-stale", "true")
    async with analyst.server.http("mod") as http:
        await http.post("/api/v1/quotes", json={"fields": FACTS})
    await page.get_by_test_id("connect-again").click()
    await expect(page.get_by_test_id("figure-quotes").locator("dd")).to_have_text(str(before + 1))
    await expect(page.get_by_test_id("banners").locator(".strip")).to_have_count(0)
