"""One connection's page and live traces in Chromium against the real server and real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, expect

from tests.app.test_bans import ban_of
from tests.support.page_visit import Visitor, axe, visiting
from tests.support.ws_client import RawClient
from tidewire.core.protocol import data_body

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


class Operator(Visitor):
    """Ada, who may manage users."""

    async def may_manage(self) -> None:
        """Let her close, ban and trace; an admin only looks, unless somebody grants it."""
        await self.server.accounts.change_user("ada", grants=frozenset({"users:manage"}))
        await self.server.log_in("ada")

    async def look(self, connection_id: str, **context: Any) -> Page:
        """Return a connection's page, live."""
        page = await self.open(f"/admin/connections/{connection_id}", "ada", **context)
        await expect(page.get_by_test_id("closeup")).to_have_attribute("data-state", "open")
        return page


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own."""
    async with visiting(tmp_path, Operator) as found:
        yield found


async def arrived(client: RawClient, *rooms: str) -> str:
    """Return a client's connection id, once it is in those rooms."""
    mine = str((await client.expect("connection", status="connected"))["connection_id"])
    for room in rooms:
        client.say("subscribe", id=room, room_id=room)
        await client.expect("reply", id=room, ok=True)
    return mine


async def test_every_figure_is_the_connections_own_and_its_end_is_told(operator: Operator) -> None:
    """User, program, counts, rooms and history as the hub has them; closed in the dialog, it says code and reason."""
    await operator.may_manage()
    site = operator.server
    async with site.raw("bob", User_Agent="desk/4.2") as bob:
        mine = await arrived(bob, "app:desk", "public:all")
        for number in range(5):
            await site.side.hub.post("app:desk", data_body(b"%d" % number))
        await bob.expect("room_message", data=4)
        page = await operator.look(mine)
        session = site.side.hub.session(mine)
        assert session is not None
        for name, text in (
            ("user", "bob, user"), ("ip", "127.0.0.1"), ("program", "desk/4.2"), ("protocol", "tidewire.v1"),
            ("path", "/ws"), ("queue", "0 B"), ("missed", "0"), ("login", session.principal.session_id),  # type: ignore[union-attr]
        ):  # fmt: skip
            await expect(page.get_by_test_id(f"fact-{name}")).to_have_text(text)
        await expect(page.get_by_test_id("fact-in")).to_contain_text(f"{session.messages_in} messages")
        await expect(page.get_by_test_id("fact-out")).to_contain_text(f"{session.sequence} messages")
        rooms = page.get_by_test_id("rooms").get_by_test_id("room")
        await expect(rooms).to_have_count(3)
        await expect(rooms.first.locator("[data-cell=offset]")).to_have_text("5")
        await expect(rooms.first).to_contain_text("app:desk")
        await expect(page.get_by_test_id("since")).to_contain_text("Second by second since")
        await expect(page.get_by_test_id("chart-messages").locator("canvas")).to_be_visible()
        await expect(page.get_by_test_id("read-messages")).to_contain_text("/")
        # A page that is loaded anew has the history of before.
        before = await page.get_by_test_id("since").text_content()
        await page.reload()
        await expect(page.get_by_test_id("since")).to_have_text(before or "")
        assert await axe(page) == []
        await page.get_by_test_id("disconnect").click()
        await page.get_by_test_id("disconnect-reason").fill("asked by its owner")
        await page.get_by_test_id("disconnect-go").click()
        assert await bob.close_code() == 4503
    await expect(page.get_by_test_id("closeup")).to_have_attribute("data-state", "closed")
    await expect(page.get_by_test_id("ended")).to_contain_text("with 4503 force_disconnect. An administrator closed")
    assert await axe(page) == []


async def test_a_trace_is_read_paused_filtered_inspected_and_kept(operator: Operator, tmp_path: Path) -> None:
    """Newest first in both directions; pause counts what comes; the filter, a frame's verdict, JSON and the file."""
    await operator.may_manage()
    async with operator.server.raw("bob") as bob:
        mine = await arrived(bob)
        page = await operator.look(mine, accept_downloads=True)
        await page.get_by_test_id("trace-start").click()
        said, frames = page.get_by_test_id("trace-said"), page.get_by_test_id("frame")
        await expect(said).to_contain_text("Tracing bob on")
        await expect(page.get_by_test_id("trace-running")).to_contain_text(f"ada traces connection {mine}")
        for number in range(3):
            bob.say("ping", id=number)
        # Each is answered by a reply and a pong.
        await expect(frames).to_have_count(9)
        await expect(frames.last.locator(".trace-kind")).to_have_text("ping")
        await page.get_by_test_id("trace-pause").click()
        bob.say("publish", id=7, room_id="public:x", data={"text": "find me"})
        await expect(page.get_by_test_id("trace-held")).to_have_text(re.compile(r"^Paused at .*, 2 held$"))
        await expect(frames).to_have_count(9)
        await page.get_by_test_id("trace-pause").click()
        await expect(frames).to_have_count(11)
        await page.get_by_test_id("trace-direction").select_option("in")
        await expect(frames).to_have_count(4)
        await page.get_by_test_id("trace-text").fill("FIND")
        await expect(frames).to_have_count(1)
        await expect(page.get_by_test_id("trace-count")).to_have_text("1 shown of 1 that match, 11 in all")
        await frames.first.get_by_role("button").click()
        await expect(page.get_by_test_id("frame-verdicts")).to_contain_text("Publish fits the contract")
        assert json.loads(await page.get_by_test_id("frame-decoded").inner_text())["data"] == {"text": "find me"}
        assert json.loads(await page.get_by_test_id("frame-raw").inner_text())["type"] == "publish"
        await expect(page.get_by_test_id("frame-timings").locator("li").first).to_be_visible()
        assert await axe(page) == []
        await page.get_by_test_id("frame-close").click()
        async with page.expect_download() as waiting:
            await page.get_by_test_id("trace-download").click()
        file = tmp_path / "trace.ndjson"
        await (await waiting.value).save_as(file)
        lines = [json.loads(line) for line in (await anyio.Path(file).read_text()).splitlines()]
        assert [line["type"] for line in lines] == ["trace_started", "frame"]
        assert json.loads(lines[1]["text"])["id"] == 7
        await page.get_by_test_id("trace-text").fill("")
        await page.get_by_test_id("trace-start").click()
        await expect(said).to_contain_text("has ended: it was stopped")
        await expect(page.get_by_test_id("trace")).to_have_attribute("data-state", "ended")
        # A broken frame is told as such.
        await page.get_by_test_id("trace-start").click()
        await expect(said).to_contain_text("Tracing bob on")
        bob.say("subscribe", id=1)
        await frames.last.get_by_role("button").click()
        await expect(page.get_by_test_id("frame-verdicts")).to_contain_text("does not fit the contract")


async def test_a_room_and_a_symbol_are_traced_from_the_list_of_rooms(operator: Operator) -> None:
    """The row's link names the room; a symbol by its name; who has not the permission is told."""
    await operator.may_manage()
    site = operator.server
    async with site.raw("bob") as bob:
        await arrived(bob, "app:desk", "market:AAPL")
        page = await operator.open("/admin/rooms?text=app:desk", "ada")
        await page.get_by_test_id("trace").click()
        await expect(page).to_have_url(re.compile(r"/admin/trace\?room=app%3Adesk$"))
        await page.get_by_test_id("trace-start").click()
        await expect(page.get_by_test_id("trace-said")).to_contain_text("app:desk (1 members)")
        await site.side.hub.post("app:desk", data_body(b'"hello"'))
        await expect(page.get_by_test_id("frame").locator(".trace-kind")).to_have_text("room_message")
        assert await axe(page) == []
        await page.get_by_test_id("trace-start").click()
        await page.get_by_test_id("target-kind").select_option("symbol")
        await page.get_by_test_id("target-name").fill("aapl")
        await page.get_by_test_id("trace-start").click()
        await expect(page.get_by_test_id("trace-said")).to_contain_text("market:AAPL")
        site.tick("AAPL", 187.5)
        await expect(page.get_by_test_id("frame").first).to_contain_text("187.5")
        await page.get_by_test_id("trace-start").click()
        await page.get_by_test_id("target-name").fill("nobodys room")
        await page.get_by_test_id("trace-start").click()
        await expect(page.get_by_test_id("trace-error")).to_be_visible()
    await site.accounts.change_user("ada", grants=frozenset())
    await site.log_in("ada")
    page = await operator.open("/admin/trace", "ada")
    await expect(page.get_by_test_id("trace-may-not")).to_be_visible()


async def test_what_is_not_there_and_who_may_not_any_more_is_said(operator: Operator) -> None:
    """An id that never was; a reader who is banned while they look and trace: both are told, nothing more comes."""
    site = operator.server
    page = await operator.open("/admin/connections/c-never", "ada")
    await expect(page.get_by_test_id("banner-problem")).to_contain_text("No node has the connection 'c-never'")
    await operator.may_manage()
    await site.accounts.create_user("root", "four unrelated words", "super")
    await site.log_in("root")
    async with site.raw("bob") as bob:
        mine = await arrived(bob)
        page = await operator.look(mine)
        await page.get_by_test_id("trace-start").click()
        await expect(page.get_by_test_id("trace-said")).to_contain_text("Tracing bob on")
        async with site.http("root") as root:
            await site.accounts.change_user("root", grants=frozenset({"users:manage"}))
            answer = await root.post("/api/v1/admin/bans", json=ban_of(users=("ada",)))
            assert answer.status_code == 200, answer.text
        await expect(page.get_by_test_id("banner-ended")).to_contain_text("floods the desk")
        await expect(page.get_by_test_id("trace-said")).to_contain_text("you may not look any more")
        bob.say("ping", id=99)
        await bob.expect("reply", id=99, ok=True)
        await expect(page.get_by_test_id("trace-list")).not_to_contain_text("99")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_has_no_accessibility_violation(operator: Operator, scheme: str) -> None:
    """In both themes, wide and at 390 px, with rooms and frames, in German too."""
    await operator.may_manage()
    async with operator.server.raw("bob") as bob:
        mine = await arrived(bob, "app:desk")
        page = await operator.look(mine, color_scheme=scheme, locale="de" if scheme == "dark" else "en")
        await page.get_by_test_id("trace-start").click()
        await expect(page.get_by_test_id("trace-running")).to_be_visible()
        bob.say("ping", id=1)
        await expect(page.get_by_test_id("frame")).to_have_count(3)
        assert await axe(page) == []
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await axe(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
