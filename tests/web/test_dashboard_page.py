"""The page of dashboards in Chromium against the real server: what it shows, how it is composed, kept and shared."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Dialog, Locator, Page, expect

from tests.support.page_visit import axe
from tests.web.test_connections_page import Operator, operating

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own."""
    async with operating(tmp_path) as found:
        yield found


def widget(page: Page, name: str) -> Locator:
    """Return a widget by its id."""
    return page.locator(f'[data-widget="{name}"]')


async def stands(page: Page, name: str, x: int, y: int, w: int, h: int) -> None:
    """Wait until a widget stands at that column and row with that width and height."""
    style = re.compile(rf"--x: {x}; --y: {y}; --w: {w}; --h: {h};")
    await expect(widget(page, name)).to_have_attribute("style", style)


async def copy_of_overview(page: Page, name: str) -> None:
    """Make a dashboard of one's own from the one shown."""
    await page.get_by_test_id("copy").click()
    await page.locator("#board-name").fill(name)
    await page.get_by_test_id("board-go").click()
    await expect(page.get_by_test_id("board-state")).to_have_text("Arranging")


async def test_the_overview_shows_what_the_server_counts(operator: Operator) -> None:
    """Its figures are the hub's own, each with an age; nothing is wrong with the page for anybody."""
    crowd, site = operator.crowd, operator.server
    await crowd.arrive("bob", 7)
    page = await operator.open("/admin", "ada")
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    figure = widget(page, "connections").get_by_test_id("figure")
    site.web.vitals.sampler.record()
    await expect(figure).to_have_text(str(site.side.hub.connection_count()), timeout=20_000)
    await expect(widget(page, "connections").locator("[data-part=age]")).to_have_text(re.compile(r"^(\d+ s ago|now)$"))
    await expect(widget(page, "state").locator("tbody tr").first.locator("td").first).to_have_text("1")
    await expect(page.get_by_test_id("board-state")).to_have_text("Built in: copy it to change it.")
    await expect(page.get_by_test_id("arrange-start")).to_be_hidden()
    assert await axe(page) == []


async def test_a_dashboard_is_copied_arranged_by_keys_and_kept(operator: Operator) -> None:
    """What is arranged is said, pushes what is in its way, and is there again after a reload; unsaved work is held."""
    page = await operator.open("/admin", "ada")
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    await copy_of_overview(page, "Night watch")
    await expect(page.get_by_test_id("save")).to_be_disabled()
    await stands(page, "rooms", 4, 1, 3, 2)
    handle = widget(page, "rooms").locator("[data-part=move]")
    await handle.focus()
    await page.keyboard.press("ArrowDown")
    await stands(page, "rooms", 4, 6, 3, 2)
    await expect(page.locator("[data-part=announce]")).to_have_text("Column 4, row 6, 3 wide, 2 high.")
    await page.keyboard.press("Shift+ArrowRight")
    await stands(page, "rooms", 4, 6, 4, 2)
    await expect(page.get_by_test_id("board-state")).to_have_text("Not saved yet")
    assert await axe(page) == []
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("board-state")).to_have_text("")
    await expect(page).to_have_url(re.compile(r"\?dashboard=[0-9a-f]{16}$"))
    await page.reload()
    await expect(widget(page, "rooms")).to_be_visible()
    await stands(page, "rooms", 4, 6, 4, 2)

    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", stay)
    await page.keyboard.press("e")
    await widget(page, "rooms").locator("[data-part=remove]").click()
    await expect(page.get_by_test_id("widget")).to_have_count(8)
    await page.get_by_test_id("cancel").click()
    assert asked == ["What you changed is not saved. Leave it?"]
    await expect(page.get_by_test_id("widget")).to_have_count(8)


async def test_a_widget_is_dragged_and_pushes_its_neighbours(operator: Operator) -> None:
    """The pointer moves it from cell to cell, the corner sizes it, and Escape puts everything back."""
    page = await operator.open("/admin", "ada")
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    await copy_of_overview(page, "Dragged")
    cell = await page.get_by_test_id("grid").evaluate("node => node.clientWidth / 12")
    handle = await widget(page, "connections").locator("[data-part=move]").bounding_box()
    assert handle is not None
    x, y = handle["x"] + 5, handle["y"] + 5
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 3 * cell, y, steps=5)
    await stands(page, "connections", 4, 1, 3, 2)
    await stands(page, "rooms", 4, 3, 3, 2)
    await page.keyboard.press("Escape")
    await stands(page, "connections", 1, 1, 3, 2)
    await stands(page, "rooms", 4, 1, 3, 2)
    await page.mouse.up()
    corner = await widget(page, "held").locator("[data-part=size]").bounding_box()
    assert corner is not None
    x, y = corner["x"] + 5, corner["y"] + 5
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x - cell, y + 84, steps=5)
    await page.mouse.up()
    await stands(page, "held", 10, 1, 2, 3)


async def test_a_widget_is_composed_of_any_figure_and_nonsense_is_refused(operator: Operator) -> None:
    """Kind, figures and labels are chosen in the page; a metric that does not exist is named; the value is true."""
    site = operator.server
    page = await operator.open("/admin", "ada")
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    await copy_of_overview(page, "Mine")
    await page.get_by_test_id("add").click()
    dialog = page.get_by_test_id("widget-dialog")
    await dialog.locator("#widget-kind").select_option("figure")
    await dialog.get_by_test_id("metric").fill("tidewire_hub_wishes")
    await dialog.get_by_test_id("widget-apply").click()
    await expect(page.get_by_test_id("widget-error")).to_have_text("No node has a metric called tidewire_hub_wishes.")
    await dialog.get_by_test_id("metric").fill("tidewire_hub_opened_total")
    await dialog.get_by_test_id("labels").fill("status")
    await dialog.get_by_test_id("widget-apply").click()
    await expect(page.get_by_test_id("widget-error")).to_contain_text("are not understood")
    await dialog.get_by_test_id("labels").fill("")
    await dialog.get_by_test_id("metric").blur()
    await dialog.get_by_test_id("shown").select_option("value")
    assert await axe(page) == []
    await dialog.get_by_test_id("widget-apply").click()
    made = widget(page, "w10")
    await expect(made).to_be_visible()
    site.web.vitals.sampler.record()
    opened = site.side.hub.statistics().opened
    await expect(made.get_by_test_id("figure")).to_have_text(str(opened), timeout=20_000)
    await page.get_by_test_id("save").click()
    await expect(page.get_by_test_id("board-state")).to_have_text("")


async def test_a_shared_dashboard_comes_first_for_everybody_and_is_not_overwritten(operator: Operator) -> None:
    """Its owner shares it and makes it everybody's first; two windows do not overwrite each other; deleting is said."""
    site = operator.server
    await operator.may_close()
    await site.accounts.change_user("mod", role="admin")
    await site.log_in("mod")
    page = await operator.open("/admin", "ada")
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    await copy_of_overview(page, "Ours")
    await page.get_by_test_id("cancel").click()
    await page.get_by_test_id("rename").click()
    await page.locator("#board-shared").check()
    await page.get_by_test_id("board-go").click()
    await expect(page.get_by_test_id("board").locator("option:checked")).to_have_text("Ours (shared)")
    await page.get_by_test_id("first-everybody").click()
    await expect(page.get_by_test_id("board").locator("option:checked")).to_contain_text("everybody's first")

    other = await operator.open("/admin", "mod")
    await expect(other.get_by_test_id("board").locator("option:checked")).to_contain_text("Ours")
    await expect(other.get_by_test_id("board-state")).to_have_text("ada's: copy it to change it.")
    await expect(other.get_by_test_id("first-everybody")).to_have_count(0)

    again = await operator.open("/admin", "ada")
    await expect(again.get_by_test_id("board").locator("option:checked")).to_contain_text("Ours")
    for window in (page, again):
        await window.get_by_test_id("arrange-start").click()
        await widget(window, "rooms").locator("[data-part=remove]").click()
        await window.get_by_test_id("save").click()
    await expect(page.get_by_test_id("board-state")).to_have_text("")
    refusal = again.get_by_test_id("banners")
    await expect(refusal).to_contain_text("The dashboard has been changed since it was opened here.")
    await expect(refusal).to_contain_text("Tidewire will not overwrite the other change")

    await page.get_by_test_id("delete").click()
    await page.get_by_test_id("removal-go").click()
    await expect(page.get_by_test_id("banners")).to_contain_text("Ours has been deleted.")
    await expect(page.get_by_test_id("board").locator("option:checked")).to_have_text("Overview")
    await other.reload()
    await expect(other.get_by_test_id("board").locator("option:checked")).to_have_text("Overview")


async def test_who_may_look_no_more_is_told_and_the_page_is_narrow_dark_and_german(operator: Operator) -> None:
    """One column, no sideways scrolling, no violation; with the permission gone the asking ends and is explained."""
    page = await operator.open(
        "/admin", "ada", locale="de-DE", color_scheme="dark", viewport={"width": 320, "height": 800}
    )
    await expect(page.get_by_test_id("widget")).to_have_count(9)
    await expect(page.get_by_test_id("board").locator("option:checked")).to_have_text("Überblick")
    await expect(page.get_by_test_id("widget").first).to_contain_text("Verbindungen von Clients")
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= 320
    assert await axe(page) == []
    await operator.server.accounts.change_user("ada", role="user")
    await expect(page.get_by_test_id("banner-ended")).to_contain_text(
        "Sie dürfen das nicht mehr ansehen. Dazu fehlt die Berechtigung analytics:read."
    )
