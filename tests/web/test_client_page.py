"""The test client's page in Chromium against the real server: connect, enter, publish, and every raw frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.page_visit import axe, visiting
from tests.support.waiting import until
from tests.web.test_connection_page import Operator, arrived

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own."""
    async with visiting(tmp_path, Operator) as found:
        yield found


async def test_a_client_is_tried_in_a_sandbox_and_its_frames_are_seen(operator: Operator) -> None:
    """What is published there comes back and to others; frames of both directions stand newest first, each judged."""
    site = operator.server
    page = await operator.open("/admin/test-client", "ada")
    state, frames = page.get_by_test_id("client-state"), page.get_by_test_id("frame")
    await expect(state).to_have_text("Not connected.")
    await expect(page.get_by_test_id("publish")).to_be_disabled()
    async with site.raw("bob") as bob:
        await arrived(bob, "public:sandbox")
        await page.get_by_test_id("connect").click()
        await expect(state).to_have_text("Connected.")
        await until(lambda: site.side.hub.connection_count() == 2)
        await page.get_by_test_id("client-room").fill("public:sandbox")
        await page.get_by_test_id("subscribe").click()
        await expect(page.get_by_test_id("entered").get_by_role("button")).to_have_text("Leave public:sandbox")
        await page.get_by_test_id("client-data").fill('{"text": ')
        await page.get_by_test_id("publish").click()
        await expect(page.get_by_test_id("client-said")).to_contain_text("The data is no JSON")
        await page.get_by_test_id("client-data").fill('{"text": "from the page"}')
        await page.get_by_test_id("publish").click()
        await expect(page.get_by_test_id("client-said")).to_have_text(
            "Published to public:sandbox: offset 1, 2 connections."
        )
        assert (await bob.expect("room_message"))["data"] == {"text": "from the page"}
        await page.get_by_test_id("trace-text").fill("from the page")
        await expect(frames).to_have_count(2)
        await expect(frames.last.locator(".trace-way")).to_have_text("← in")
        await frames.last.get_by_role("button").click()
        await expect(page.get_by_test_id("frame-verdicts")).to_contain_text("Publish fits the contract")
        assert await axe(page) == []
        await page.get_by_test_id("frame-close").click()
        await page.get_by_test_id("client-room").fill("admin:nobody")
        await page.get_by_test_id("subscribe").click()
        await expect(page.get_by_test_id("client-said")).not_to_contain_text("Published")
        await page.get_by_test_id("connect").click()
        await expect(page.get_by_test_id("connect")).to_have_text("Connect")
        await until(lambda: site.side.hub.connection_count() == 1)
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await axe(page) == []
