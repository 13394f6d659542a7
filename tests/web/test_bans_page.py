"""The page of bans, and banning from the list of connections, in Chromium against the real server and real sockets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.page_visit import axe, visiting
from tests.web.test_connection_page import Operator, arrived

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
PATH = "/admin/bans"


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own, who may ban."""
    async with visiting(tmp_path, Operator) as found:
        await found.may_manage()
        yield found


async def fill(page: Page, **fields: str) -> None:
    """Fill in the dialog."""
    for name, text in fields.items():
        await page.get_by_test_id(f"ban-{name}").fill(text)


async def test_a_ban_is_made_shown_lifted_and_found_again(operator: Operator) -> None:
    """Absurd networks are refused in words; a good one holds, counts down, is lifted with one question, and is kept."""
    page = await operator.open(PATH, "ada")
    await expect(page.get_by_test_id("empty")).to_be_visible()
    assert await axe(page) == []
    await page.get_by_test_id("ban-new").click()
    await expect(page.get_by_test_id("ban-go")).to_be_disabled()
    await fill(page, addresses="0.0.0.0/0", reason="port scans")
    await page.get_by_test_id("ban-go").click()
    await expect(page.get_by_test_id("ban-error")).to_contain_text("is every IPv4 address there is, yours included")
    await fill(page, addresses="203.0.113.0/24")
    assert await axe(page) == []
    await page.get_by_test_id("ban-go").click()
    await expect(page.get_by_test_id("banner-banned")).to_contain_text("Banned: 1. Connections closed: 0.")
    row = page.get_by_test_id("bans").get_by_test_id("row")
    await expect(row).to_have_count(1)
    await expect(row.locator("[data-cell=target]")).to_contain_text("203.0.113.0/24")
    await expect(row.locator("[data-cell=state]")).to_have_text("In force")
    await expect(row.locator("[data-cell=left]")).to_have_text(re.compile(r"59 min \d+ s"))
    await expect(row.locator("[data-cell=created_by]")).to_have_text("ada")
    assert operator.server.side.bans.of_address("203.0.113.99") is not None
    assert await axe(page) == []
    await page.get_by_test_id("lift").click()
    await page.get_by_test_id("lift-go").click()
    await expect(row.locator("[data-testid=standing]")).to_have_text("ended")
    assert operator.server.side.bans.of_address("203.0.113.99") is None
    await page.get_by_test_id("filter-state").select_option("lifted")
    await expect(page).to_have_url(re.compile(r"\?state=lifted$"))
    await expect(row.locator("[data-cell=state]")).to_have_text("Lifted")
    await expect(page.get_by_test_id("lift")).to_be_hidden()


async def test_many_are_banned_from_the_list_of_connections_with_their_count_typed(operator: Operator) -> None:
    """Chosen rows become users; without the right number nothing goes; then all of them are out at once."""
    site = operator.server
    async with site.raw("bob") as bob, site.raw("mod") as mod, site.raw("bob") as second:
        for client in (bob, mod, second):
            await arrived(client)
        page = await operator.open("/admin/connections", "ada")
        await expect(page.get_by_test_id("connections").get_by_test_id("row")).to_have_count(3)
        await page.get_by_test_id("choose-all").check()
        await page.get_by_test_id("ban-chosen").click()
        await expect(page.get_by_test_id("ban-users")).to_have_value(re.compile("bob, mod|mod, bob"))
        await fill(page, reason="floods the desk", count="3")
        await expect(page.get_by_test_id("ban-go")).to_be_disabled()
        await fill(page, count="2")
        await page.get_by_test_id("ban-go").click()
        await expect(page.get_by_test_id("banner-banned")).to_contain_text("Banned: 2. Connections closed: 3.")
        assert [await client.close_code() for client in (bob, mod, second)] == [4503, 4503, 4503]
    async with site.raw("bob") as again:
        assert await again.close_code() == 4503


async def test_banning_oneself_wants_the_words_and_then_is_done(operator: Operator) -> None:
    """The dialog says what is hit and asks; the page is then told that it is over, with the reason."""
    page = await operator.open(PATH, "ada")
    await page.get_by_test_id("ban-new").click()
    await fill(page, users="ada", reason="leaves the company")
    await page.get_by_test_id("ban-go").click()
    await expect(page.get_by_test_id("ban-error")).to_contain_text("This ban hits you: you are ada.")
    await expect(page.get_by_test_id("ban-self")).to_be_visible()
    await fill(page, self="ban myself")
    await page.get_by_test_id("ban-go").click()
    await expect(page.get_by_test_id("banner-ended")).to_contain_text(
        re.compile("You are banned until .*: leaves the company[.]")
    )


async def test_who_may_not_ban_sees_but_is_told(operator: Operator) -> None:
    """Without users:manage there is no button, and a sentence; taken while looking, the same after loading anew."""
    await operator.server.accounts.change_user("ada", grants=frozenset())
    page = await operator.open(PATH, "ada")
    await expect(page.get_by_test_id("may-not")).to_be_visible()
    await expect(page.get_by_test_id("ban-new")).to_have_count(0)
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await axe(page) == []
    await operator.server.accounts.change_user("ada", role="user")
    await expect(page.get_by_test_id("banner-ended")).to_be_visible()


async def test_a_node_is_drained_and_taken_back_from_the_list_of_connections(operator: Operator) -> None:
    """Its name is typed, being the last one is ticked; then it says who drained it, and takes clients again."""
    site = operator.server
    async with site.raw("bob") as bob:
        await arrived(bob)
        page = await operator.open("/admin/connections", "ada")
        await page.get_by_test_id("nodes").locator("summary").click()
        row = page.get_by_test_id("node-row")
        await expect(row.locator("[data-cell=connections]")).to_have_text("1")
        await expect(row.locator("[data-cell=state]")).to_have_text("takes clients")
        await page.get_by_test_id("node-drain").click()
        await page.get_by_test_id("drain-reason").fill("new kernel")
        await page.get_by_test_id("drain-name").fill("another")
        await expect(page.get_by_test_id("drain-go")).to_be_disabled()
        await page.get_by_test_id("drain-name").fill(site.side.nodes.name)
        await page.get_by_test_id("drain-go").click()
        await expect(page.get_by_test_id("drain-error")).to_contain_text("No other node takes clients")
        assert await axe(page) == []
        await page.get_by_test_id("drain-last").check()
        await page.get_by_test_id("drain-go").click()
        assert await bob.close_code() == 4000
        await expect(row.locator("[data-cell=state]")).to_contain_text("drained by ada since")
        assert not site.side.hub.accepting
        await page.get_by_test_id("node-accept").click()
        await expect(row.locator("[data-cell=state]")).to_have_text("takes clients")
        assert site.side.hub.accepting
        assert await axe(page) == []
