"""The pages of users in Chromium against the real server: list, adding, rights, and what it does to open pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.app.test_users import BOB, MOD, boss, trail, without_review
from tests.app.test_users_list import populate
from tests.support.page_visit import Visitor, axe, visiting
from tidewire.accounts.model import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
PATH = "/admin/users"


class Manager(Visitor):
    """Boss, who manages users."""

    async def look(self, path: str = PATH, username: str = "boss", **context: object) -> Page:
        """Return a page, live."""
        page = await self.open(path, username, **context)
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        return page


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    """A manager of a server of their own."""
    async with visiting(tmp_path, Manager) as found:
        await boss(found.server)
        await without_review(found.server)
        yield found


async def test_search_sort_and_pages_are_the_servers(manager: Manager) -> None:
    """Of four hundred: fifty a page, searched, filtered and sorted over all; what is asked stands in the address."""
    await populate(manager.server, 400)
    page = await manager.look()
    rows = page.get_by_test_id("users").get_by_test_id("row")
    await expect(page.get_by_test_id("matching")).to_have_text("50 of 404 shown")
    await page.get_by_test_id("next").click()
    await expect(page.get_by_test_id("page")).to_have_text("Page 2 of 9")
    await page.get_by_test_id("sort-role").click()
    await expect(rows.first.locator("[data-cell=role]")).to_have_text("super")
    await page.get_by_test_id("filter-text").fill("HÄNDLER")
    await page.get_by_test_id("filter-disabled").select_option("true")
    matching = sum(n % 3 == 1 and n % 11 == 0 for n in range(400))
    await expect(page.get_by_test_id("matching")).to_have_text(f"{matching} of {matching} shown")
    await expect(rows.first.locator("[data-cell=state]")).to_have_text(" disabled")
    await expect(page).to_have_url(re.compile(r"\?text=H%C3%84NDLER&disabled=true&sort=role$"))
    assert await axe(page) == []


async def test_a_new_users_password_is_shown_once_and_works(manager: Manager) -> None:
    """Made by the server, gone from the page with its dialog; a wrong name is told in the dialog."""
    page = await manager.look()
    await page.keyboard.press("n")
    await page.get_by_test_id("new-name").fill("bob")
    await page.get_by_test_id("new-go").click()
    await expect(page.get_by_test_id("new-error")).to_have_text(re.compile("The username bob is taken"))
    await page.get_by_test_id("new-name").fill("Zoë")
    await page.get_by_test_id("new-role").select_option("moderator")
    assert await axe(page) == []
    await page.get_by_test_id("new-go").click()
    text = page.get_by_test_id("password-text")
    await expect(text).to_have_text(re.compile(r"^([a-z2-9]{4}-){4}[a-z2-9]{4}$"))
    password = await text.inner_text()
    await page.keyboard.press("Escape")
    await expect(text).to_be_visible()
    assert await axe(page) == []
    await page.get_by_test_id("password-done").click()
    await expect(text).to_be_hidden()
    assert password not in await page.content()
    opened = await manager.server.accounts.log_in("Zoë", password, ip="127.0.0.1")
    assert opened.principal.role is Role.MODERATOR
    await expect(page.get_by_test_id("users").get_by_text("Zoë", exact=True)).to_be_visible()


async def test_rights_are_shown_as_they_result_and_act_at_once(manager: Manager) -> None:
    """What results is shown before it is saved; saved, the open page of that user loses what was denied."""
    site = manager.server
    theirs = await manager.open("/quotes", "bob")
    await expect(theirs.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    page = await manager.look(f"{PATH}/{BOB}")
    await expect(page.get_by_test_id("name")).to_have_text("bob")
    row = page.locator('tr[data-permission="quote:view"]')
    await expect(row.locator("[data-cell=effective]")).to_have_attribute("data-yes", "true")
    await page.get_by_test_id("rule-quote:view").select_option("denial")
    await expect(row.locator("[data-cell=effective]")).not_to_have_attribute("data-yes", "true")
    await page.get_by_test_id("role").select_option("moderator")
    premium = page.locator('tr[data-permission="premium:view"]')
    await expect(premium.locator("[data-cell=effective]")).to_have_attribute("data-yes", "true")
    assert (await site.accounts.find_user("bob")).role is Role.USER  # type: ignore[union-attr]
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("banner-done")).to_have_text(re.compile("Saved; it is in effect"))
    changed = await site.accounts.find_user("bob")
    assert changed is not None
    assert (changed.role, changed.denials) == (Role.MODERATOR, {"quote:view"})
    await expect(theirs.get_by_test_id("banner-forbidden")).to_be_visible()
    assert await axe(page) == []


async def test_disabled_closes_the_open_page_and_the_raw_socket_at_once(manager: Manager) -> None:
    """Both are shown among logins and sockets before; the page is told that it ended, the socket gets 4511."""
    site = manager.server
    theirs = await manager.open("/streaming", "bob")
    await expect(theirs.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    async with site.raw("bob") as client:
        await client.expect("connection", status="connected")
        page = await manager.look(f"{PATH}/{BOB}")
        await expect(page.get_by_test_id("sockets").get_by_test_id("row")).to_have_count(2)
        await expect(page.get_by_test_id("sessions").get_by_test_id("row")).to_have_count(1)
        await page.get_by_test_id("toggle").click()
        await expect(page.get_by_test_id("sure-dialog")).to_contain_text("All logins, pages and sockets end at once")
        assert await axe(page) == []
        await page.get_by_test_id("sure-go").click()
        assert await client.close_code() == 4511
        await expect(theirs.get_by_test_id("banner-ended")).to_be_visible()
    await expect(page.get_by_test_id("state")).to_have_text("disabled")
    await expect(page.get_by_test_id("sessions").get_by_test_id("row")).to_have_count(0)
    assert ("boss", "user.change", "bob") in await trail(site)


async def test_a_demoted_admins_feed_page_ends_at_once(manager: Manager) -> None:
    """The feed page's own channel, too, does not wait for its minute: it is told, and what it did is in the log."""
    site = manager.server
    theirs = await manager.open("/admin/websockets", "ada")
    await expect(theirs.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    page = await manager.look(f"{PATH}/1")
    await page.get_by_test_id("role").select_option("user")
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("banner-done")).to_be_visible()
    await expect(theirs.get_by_test_id("live-state")).to_have_attribute("data-state", "ended")
    assert ("boss", "user.change", "ada") in await trail(site)


async def test_logged_out_everywhere_and_a_new_password(manager: Manager) -> None:
    """One login ended, then all, then a password made: each told with its number."""
    site = manager.server
    await site.log_in("mod")
    theirs = await manager.open("/streaming", "mod")
    page = await manager.look(f"{PATH}/{MOD}")
    await expect(page.get_by_test_id("sessions").get_by_test_id("row")).to_have_count(2)
    await page.get_by_test_id("end-session").last.click()
    await page.get_by_test_id("sure-go").click()
    await expect(page.get_by_test_id("sessions").get_by_test_id("row")).to_have_count(1)
    await page.get_by_test_id("logout-everywhere").click()
    await page.get_by_test_id("sure-go").click()
    await expect(page.get_by_test_id("sessions").get_by_test_id("row")).to_have_count(0)
    await expect(theirs.get_by_test_id("banner-ended")).to_be_visible()
    await page.get_by_test_id("reset").click()
    await page.get_by_test_id("sure-password").fill("short")
    await page.get_by_test_id("sure-go").click()
    await expect(page.get_by_test_id("sure-error")).to_have_text(re.compile("at least 10"))
    await page.get_by_test_id("sure-password").fill("")
    await page.get_by_test_id("sure-go").click()
    text = page.get_by_test_id("password-text")
    await expect(text).to_have_text(re.compile(r"^([a-z2-9]{4}-){4}[a-z2-9]{4}$"))
    password = await text.inner_text()
    await site.accounts.log_in("mod", password, ip="127.0.0.1")


async def test_the_second_of_two_is_told_before_and_when_saving(manager: Manager) -> None:
    """Changed elsewhere while it is edited here: said at once, refused when saved, right after it is loaded."""
    site = manager.server
    page = await manager.look(f"{PATH}/{BOB}")
    await page.get_by_test_id("rule-audit:read").select_option("grant")
    await site.accounts.change_user("bob", grants=frozenset({"analytics:read"}))
    await expect(page.get_by_test_id("banner-overtaken")).to_be_visible()
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("rights-error")).to_have_text(re.compile("changed by somebody else"))
    await page.get_by_test_id("load").click()
    await expect(page.get_by_test_id("rule-analytics:read")).to_have_value("grant")
    await expect(page.get_by_test_id("rule-audit:read")).to_have_value("role")
    await page.get_by_test_id("rule-audit:read").select_option("grant")
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("banner-done")).to_be_visible()
    bob = await site.accounts.find_user("bob")
    assert bob is not None
    assert bob.grants == {"analytics:read", "audit:read"}


async def test_above_oneself_there_is_only_looking(manager: Manager) -> None:
    """An admin who manages users sees a super and can do nothing; taken away while open, the page says so."""
    site = manager.server
    await site.accounts.change_user("ada", grants=frozenset({"users:manage"}))
    found = await site.accounts.find_user("boss")
    assert found is not None
    page = await manager.look(f"{PATH}/{found.id}", "ada")
    await expect(page.get_by_test_id("beyond")).to_be_visible()
    for name in ("toggle", "reset", "logout-everywhere", "role", "rule-audit:read"):
        await expect(page.get_by_test_id(name)).to_be_disabled()
    await page.goto(f"{site.origin}{PATH}/{BOB}")
    assert await page.get_by_test_id("role").locator("option").all_inner_texts() in (
        [],
        ["user", "moderator", "admin"],
    )
    await site.accounts.change_user("ada", grants=frozenset())
    await expect(page.get_by_test_id("banner-ended")).to_have_text(re.compile("You may not look at this any more"))
    await expect(page.get_by_test_id("name")).to_have_text("…")
    page = await manager.open(PATH, "ada")
    await expect(page.get_by_test_id("users")).to_have_count(0)
    await expect(page.get_by_test_id("nav-users")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("narrow", {"viewport": {"width": 390, "height": 844}}),
        ("german", {"locale": "de"}),
    ],
)
async def test_every_look_is_accessible(
    manager: Manager, name: str, context: dict[str, object], tmp_path: Path
) -> None:
    """Both pages, light, dark, narrow, German: no violation, and nothing wider than the screen."""
    await populate(manager.server, 12)
    await manager.server.accounts.change_user(
        "bob", grants=frozenset({"audit:read"}), denials=frozenset({"quote:edit"})
    )
    for path in (PATH, f"{PATH}/{BOB}"):
        page = await manager.look(path, **context)
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert await axe(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.screenshot(path=tmp_path / f"users-{name}-{path.count('/')}.png", full_page=True)
