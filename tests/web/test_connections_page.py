"""The page of connections in Chromium against the real server and real sockets: what an operator sees and does."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Locator, Page, expect

from tests.app.test_two_processes import both
from tests.support.page_visit import Visitor, axe, browsing, visiting
from tests.support.site_crowd import SiteCrowd, add_users, site_crowd
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import until
from tidewire.core.protocol import data_body
from tidewire.monitoring import list_files

__all__ = ["valkey"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

PATH = "/admin/connections"
ID = re.compile(r"c-[0-9a-f]+")


class Operator(Visitor):
    """Ada, who looks at connections, and the crowd she looks at."""

    crowd: SiteCrowd

    async def may_close(self) -> None:
        """Let her close connections; an admin only looks, unless somebody grants it."""
        await self.server.accounts.change_user("ada", grants=frozenset({"users:manage"}))
        await self.server.log_in("ada")

    async def look(self, query: str = "", rows: int | None = None, **context: Any) -> Page:
        """Return the page, live and with that many rows."""
        page = await self.open(f"{PATH}{query}", "ada", **context)
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        if rows is not None:
            await expect(page.get_by_test_id("connections").get_by_test_id("row")).to_have_count(rows)
        return page


@asynccontextmanager
async def operating(folder: Path, **settings: Any) -> AsyncIterator[Operator]:
    """Run a server, a browser and a crowd."""
    async with visiting(folder, Operator, **settings) as operator, site_crowd(operator.server) as crowd:
        operator.crowd = crowd
        yield operator


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own."""
    async with operating(tmp_path) as found:
        yield found


def row(page: Page, connection_id: str) -> Locator:
    """Return a connection's row."""
    return page.get_by_test_id("connections").locator(f'tr[data-id="{connection_id}"]')


async def downloaded(page: Page, button: str) -> str:
    """Press a button that gives a file, and return what is in it."""
    async with page.expect_download() as saving:
        await page.get_by_test_id(button).click()
    return await anyio.Path(await (await saving.value).path()).read_text()


async def ids(page: Page) -> list[str]:
    """Return the connections in the order in which they are shown, read in one moment."""
    found: list[str] = (
        await page.get_by_test_id("connections")
        .get_by_test_id("row")
        .evaluate_all("(rows) => rows.map((row) => row.dataset.id)")
    )
    return found


async def expect_users(page: Page, users: list[str]) -> None:
    """Wait until the rows are of these users, in this order: rows come before what stands in them."""
    await expect(page.get_by_test_id("connections").locator(".list-name")).to_have_text(users)


def id_of(guest: Any) -> str:
    """Return a client's connection id, from its welcome."""
    return str(guest.heard("connection", status="connected")[0]["connection_id"])


async def test_sort_search_pages_and_the_slow_are_the_servers(operator: Operator) -> None:
    """Sixty real sockets: fifty a page, sorted and searched over all of them; what is asked stands in the address."""
    crowd, site = operator.crowd, operator.server
    await add_users(site, [f"trader-{n}" for n in range(5)])
    for n in range(5):
        await crowd.arrive(f"trader-{n}", 10, User_Agent=f"desk/{n}.1")
    await crowd.arrive("bob", 10, User_Agent="Mozilla/5.0 (X11) Gecko/20100101 Firefox/131.0")
    page = await operator.look(rows=50)
    await expect(page.get_by_test_id("matching")).to_have_text("50 of 60 shown")
    await expect(page.get_by_test_id("may-not")).to_be_visible()
    await expect(page.get_by_test_id("choose-all")).to_have_count(0)

    await page.get_by_test_id("sort-username").click()
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("User")
    await expect(row(page, id_of(crowd.guests[-1]))).to_be_visible()
    await expect_users(page, ["bob"] * 10 + [f"trader-{n}" for n in range(4) for _ in range(10)])
    first = set(await ids(page))
    await page.get_by_test_id("next").click()
    await expect(page.get_by_test_id("page")).to_have_text("Page 2 of 2")
    await expect(page.get_by_test_id("connections").get_by_test_id("row")).to_have_count(10)
    await expect_users(page, ["trader-4"] * 10)
    assert first | set(await ids(page)) == {id_of(guest) for guest in crowd.guests}
    await page.get_by_test_id("mask-connections").check()
    file = (await downloaded(page, "csv-connections")).splitlines()
    assert (len(file), file[0][:13], file[1].count("127.0.0.0/24")) == (61, "connection_id", 1)
    list_files.ROWS_MAX = 59
    try:
        await page.get_by_test_id("ndjson-connections").click()
        await expect(page.get_by_test_id("banner-export")).to_contain_text(
            "show 60 connections; a file has at most 59."
        )
        assert await axe(page) == []
        await page.get_by_test_id("banner-export").get_by_test_id("dismiss").click()
    finally:
        list_files.ROWS_MAX = 20_000
    await expect(page.get_by_test_id("next")).to_have_attribute("aria-disabled", "true")
    await page.get_by_test_id("previous").click()
    await expect(page.get_by_test_id("page")).to_have_text("Page 1 of 2")

    await page.keyboard.press("/")
    await page.keyboard.type("DESK/3")
    await expect(page.get_by_test_id("matching")).to_have_text("10 of 10 shown")
    await expect(page).to_have_url(re.compile(r"\?text=DESK%2F3&sort=username$"))
    await page.reload()
    await expect(page.get_by_test_id("matching")).to_have_text("10 of 10 shown")
    await expect_users(page, ["trader-3"] * 10)
    await expect(page.get_by_test_id("filter-text")).to_have_value("DESK/3")
    await page.get_by_test_id("filter-clear").click()
    await expect(page.get_by_test_id("matching")).to_have_text("50 of 60 shown")
    await expect(page.get_by_text("Firefox 131")).to_have_count(10)

    (deaf,) = await crowd.arrive("mod", 1, receive_bytes=4096)
    await crowd.enter([deaf, crowd.guests[0]], "app:desk")
    await crowd.stop_reading([deaf])
    await page.get_by_test_id("filter-room").fill("app:desk")
    await expect(page.get_by_test_id("matching")).to_have_text("2 of 2 shown")
    await page.get_by_test_id("filter-slow").check()
    await expect(page.get_by_test_id("empty")).to_be_visible()
    assert await axe(page) == []
    body = data_body(b'"' + b"x" * 60_000 + b'"')
    for _ in range(50):
        await site.side.hub.post("app:desk", body)
    slow = row(page, id_of(deaf))
    await expect(slow).to_be_visible()
    await expect(slow.locator("[data-cell=queued_bytes]")).to_have_text(re.compile(r"Slow: [\d.]+ [kM]B"))
    await expect(page.get_by_test_id("matching")).to_have_text("1 of 1 shown")
    assert await axe(page) == []


async def test_rows_keep_their_places_while_somebody_looks(operator: Operator) -> None:
    """Pointed at, nothing moves, and what would is said; asked for, it moves and is marked; left alone, by itself."""
    crowd = operator.crowd
    guests = [(await crowd.arrive("bob", 1))[0] for _ in range(4)]
    a, b, c, d = (id_of(guest) for guest in guests)
    page = await operator.open("/login", "ada")
    await page.clock.install()
    await page.goto(f"{operator.server.origin}{PATH}?sort=rooms")
    await expect(row(page, d)).to_be_visible()
    before = await ids(page)
    order = page.locator("[data-part=list]").get_by_test_id("order")
    last = before[-1]
    mover = guests[[a, b, c, d].index(last)]
    await row(page, before[1]).hover()
    await crowd.enter([mover], "app:desk")
    await expect(row(page, last).locator("[data-cell=rooms]")).to_have_text("2")
    await expect(order).to_have_text("Places are kept while you look: 1 moved.")
    assert await ids(page) == before
    newcomer = id_of((await crowd.arrive("mod", 1))[0])
    gone = before[0]
    await crowd.drop([guests[[a, b, c, d].index(gone)]])
    await expect(order).to_have_text("Places are kept while you look: 1 moved, 1 new, 1 gone from this page.")
    await expect(row(page, gone).get_by_test_id("standing")).to_have_text("ended")
    assert await ids(page) == before
    assert await axe(page) == []
    async with page.expect_response(re.compile("keep=")):
        pass
    async with page.expect_response(re.compile("keep=")):
        pass
    await expect(row(page, gone).get_by_test_id("standing")).to_have_text("ended")

    await page.keyboard.press("r")
    await expect(order).to_have_text(re.compile(r"^Order of \d\d:\d\d:\d\d: 1 moved, 1 new, 1 gone from this page\.$"))
    after = await ids(page)
    assert after[0] == last
    assert set(after) == {a, b, c, d, newcomer} - {gone}
    await expect(row(page, last).get_by_test_id("mark")).to_have_text("▲ 3")
    await expect(row(page, newcomer).get_by_test_id("mark")).to_have_text("new")
    await expect(page.locator("[data-part=list]").get_by_test_id("take")).to_be_hidden()
    await expect(page.locator("[data-part=announce]")).to_contain_text("1 moved")

    second = guests[[a, b, c, d].index(after[-1] if after[-1] != newcomer else after[-2])]
    await crowd.enter([second], "app:desk")
    await crowd.enter([second], "app:other")
    await expect(order).to_have_text(re.compile("^Places are kept while you look: 1 moved"))
    await page.clock.fast_forward(11_000)
    await expect(row(page, id_of(second)).locator("[data-cell=last_activity]")).to_have_text(re.compile("1[1-9] s ago"))
    assert await ids(page) == after
    await page.mouse.move(2, 2)
    await expect(order).to_have_text(re.compile(r"^Order of .*: 1 moved"))
    assert (await ids(page))[0] == id_of(second)
    await page.get_by_test_id("pause").click()
    await crowd.drop([second])
    await expect(page.get_by_test_id("view-state")).to_have_text(re.compile(r"Paused since \d\d:\d\d:\d\d"))
    await page.clock.fast_forward(60_000)
    await expect(row(page, id_of(second)).get_by_test_id("standing")).to_have_text("")
    await page.get_by_test_id("pause").click()
    await expect(row(page, id_of(second))).to_have_count(0)


async def test_connections_are_closed_by_keyboard_with_a_reason_and_many_with_their_number(operator: Operator) -> None:
    """One by its button, two chosen with their number typed; closed with 4503, audited, then in the recently closed."""
    await operator.may_close()
    crowd, site = operator.crowd, operator.server
    guests = await crowd.arrive("bob", 4)
    page = await operator.look("?sort=connected_at", rows=4)
    await page.get_by_test_id("closed").locator("summary").click()
    await expect(page.get_by_test_id("closed-empty")).to_be_visible()
    rows = await ids(page)
    by_id = {id_of(guest): guest for guest in guests}
    first = row(page, rows[0]).get_by_test_id("disconnect")
    await first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(row(page, rows[1]).get_by_test_id("disconnect")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(first).to_be_focused()
    await page.keyboard.press("Enter")
    dialog = page.get_by_test_id("disconnect-dialog")
    await expect(dialog.get_by_role("heading")).to_have_text("Disconnect bob?")
    await expect(page.get_by_test_id("disconnect-reason")).to_be_focused()
    await expect(page.get_by_test_id("disconnect-go")).to_be_disabled()
    assert await axe(page) == []
    await page.keyboard.type("asked by its owner")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("banner-disconnected")).to_contain_text("Disconnected: 1.")
    await expect(row(page, rows[0]).get_by_test_id("standing")).to_have_text("ended")
    await expect(page.get_by_test_id("closed").locator("[data-cell=close_code]")).to_have_text("4503 force_disconnect")

    for each in rows[1:3]:
        await row(page, each).get_by_test_id("choose").check()
    await expect(page.get_by_test_id("chosen")).to_contain_text("2 chosen")
    await page.get_by_test_id("disconnect-chosen").click()
    await expect(dialog.get_by_role("heading")).to_have_text("Disconnect 2 connections?")
    await page.get_by_test_id("disconnect-reason").fill("maintenance")
    await expect(page.get_by_test_id("disconnect-go")).to_be_disabled()
    await page.get_by_test_id("disconnect-count").fill("3")
    await expect(page.get_by_test_id("disconnect-go")).to_be_disabled()
    assert await axe(page) == []
    await page.get_by_test_id("disconnect-count").fill("2")
    await page.get_by_test_id("disconnect-go").click()
    await expect(page.get_by_test_id("banner-disconnected")).to_contain_text("Disconnected: 2.")
    await expect(page.get_by_test_id("closed").get_by_test_id("row")).to_have_count(3)
    assert len((await downloaded(page, "ndjson-closed")).splitlines()) == 3
    await expect(page.get_by_test_id("chosen")).to_be_hidden()
    assert {each: by_id[each].close_code for each in rows} == {**dict.fromkeys(rows[:3], 4503), rows[3]: None}
    log = await site.accounts.activity.recent(action="connection.disconnect_many")
    said = [(one.entry.actor, one.entry.details["reason"], one.entry.details["outcome"]) for one in reversed(log)]
    assert said == [
        ("ada", "asked by its owner", "requested"), ("ada", "asked by its owner", "done"),
        ("ada", "maintenance", "requested"), ("ada", "maintenance", "done"),
    ]  # fmt: skip

    await row(page, rows[3]).get_by_test_id("disconnect").click()
    await site.accounts.change_user("ada", grants=frozenset())
    await page.get_by_test_id("disconnect-reason").fill("too late")
    await page.get_by_test_id("disconnect-go").click()
    await expect(page.get_by_test_id("disconnect-error")).to_contain_text("users:manage")
    assert by_id[rows[3]].close_code is None


@pytest.mark.parametrize("how", ["role", "session"])
async def test_who_may_look_no_more_is_told_and_gets_nothing_more(operator: Operator, how: str) -> None:
    """The role or the login taken while the page is open: a banner with what to do, and not one request afterwards."""
    guests = await operator.crowd.arrive("bob", 2)
    page = await operator.open("/login", "ada")
    await page.clock.install()
    await page.goto(f"{operator.server.origin}{PATH}")
    await expect(row(page, id_of(guests[0]))).to_be_visible()
    if how == "role":
        await operator.server.accounts.change_user("ada", role="moderator")
    else:
        await operator.server.accounts.log_out(operator.server.cookies["ada"])
    banner = page.get_by_test_id("banner-ended")
    said = "You may not look at this any more." if how == "role" else "Your session has ended."
    await expect(banner).to_contain_text(said)
    await expect(page.get_by_test_id("login-again")).to_have_attribute("href", "/login?next=%2Fadmin%2Fconnections")
    await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "ended")
    await expect(page.locator("[data-part=list]")).to_have_attribute("data-stale", "true")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await operator.crowd.drop(guests)
    await page.clock.fast_forward(120_000)
    await page.get_by_test_id("sort-username").click()
    await page.clock.fast_forward(120_000)
    await expect(row(page, id_of(guests[0])).get_by_test_id("standing")).to_have_text("")
    assert [url for url in asked if "/api/" in url] == []
    assert await axe(page) == []


async def test_a_node_that_did_not_answer_is_named_and_its_rows_not_called_ended(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """Two nodes in one list; one stops answering: it is named, its rows stay as not known; then all is well again."""
    async with (
        both(tmp_path, valkey.url) as (one, two),
        browsing(Operator, one) as operator,
        site_crowd(one) as near,
        site_crowd(two) as far,
    ):
        (mine,) = await near.arrive("bob", 1)
        (theirs,) = await far.arrive("mod", 1)
        page = await operator.look(rows=2)
        await expect(row(page, id_of(theirs)).locator("[data-cell=node]")).to_have_text("two")
        # A node that does not know the question answers as one of another version does.
        handler = two.side.nodes.handlers.pop("connections")
        silent = page.get_by_text("The node two has not answered")
        await expect(silent).to_be_visible()
        await expect(page.get_by_text("It runs a version that does not know this question.")).to_be_visible()
        await expect(row(page, id_of(theirs)).get_by_test_id("standing")).to_contain_text("not known")
        await expect(row(page, id_of(mine)).get_by_test_id("standing")).to_have_text("")
        assert await axe(page) == []
        two.side.nodes.handlers["connections"] = handler
        await expect(row(page, id_of(theirs)).get_by_test_id("standing")).to_have_text("")
        await expect(silent).to_have_count(0)


async def test_a_trace_of_a_row_is_downloaded_as_lines_of_json(operator: Operator) -> None:
    """The link in the row: a file with what the connection sent and got, ended with the connection."""
    await operator.may_close()
    (guest,) = await operator.crowd.arrive("bob", 1)
    page = await operator.look(rows=1)
    async with page.expect_download() as downloading:
        await row(page, id_of(guest)).get_by_test_id("trace").click()
    download = await downloading.value
    assert download.suggested_filename == f"trace-{id_of(guest)}.ndjson"
    session = operator.server.side.hub.session(id_of(guest))
    await until(lambda: session is not None and session.tap is not None)
    guest.say("ping", id="seen")
    await until(lambda: bool(guest.heard("pong")))
    await operator.server.side.everywhere.disconnect(id_of(guest))
    file = anyio.Path(await download.path())
    lines = [json.loads(line) for line in (await file.read_text()).splitlines()]
    assert (lines[0]["type"], lines[0]["username"]) == ("trace_started", "bob")
    assert any(line["type"] == "frame" and '"seen"' in line["text"] for line in lines)
    assert (lines[-1]["type"], lines[-1]["reason"]) == ("trace_ended", "connection_ended")


LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "dark"},
    {"viewport": {"width": 320, "height": 800}, "color_scheme": "dark"},
    {"viewport": {"width": 768, "height": 1024}, "locale": "de-DE"},
]


async def test_dark_narrow_and_german_look_right_to_axe(operator: Operator) -> None:
    """No violation, no sideways scrolling of the page; on a phone the sort is a field and every figure has its name."""
    await operator.may_close()
    await operator.crowd.arrive("bob", 3, User_Agent="a-program-with-a-long-name/1.2.3")
    for look in LOOKS:
        page = await operator.look(rows=3, **look)
        width = look.get("viewport", {}).get("width", 1440)
        assert await page.evaluate("document.scrollingElement.scrollWidth") <= width
        assert await axe(page) == []
        if width < 900:
            await page.get_by_test_id("sort-select").select_option("username")
            await expect(page).to_have_url(re.compile("sort=username"))
        if look.get("locale"):
            await expect(page.get_by_role("heading", level=1)).to_have_text("Verbindungen")
        await page.context.close()
