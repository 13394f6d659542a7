"""What the operator sees of Redis and of the nodes: two real processes on a real Valkey, frozen and thawed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.axe import violations
from tests.support.browser import Complaints, Visitors, open_feed
from tests.support.command import Service
from tests.support.frozen import frozen
from tests.support.served import USERS, add_admin, serving, settings
from tests.support.valkey import ValkeyProcess, valkey

__all__ = ["valkey"]


@dataclass
class Site:
    """A feed page, and who serves it together with whom.

    Attributes:
        other: The second node's process.
    """

    page: Page
    valkey: ValkeyProcess
    other: Service


@pytest.fixture
def site(chromium: Browser, complaints: Complaints, valkey: ValkeyProcess, tmp_path: Path) -> Iterator[Site]:
    """The page of the node ``one`` beside the node ``two``."""
    shared = {"TIDEWIRE_REDIS_URL": valkey.url}
    add_admin(settings(tmp_path), tmp_path)
    one = settings(tmp_path, TIDEWIRE_NODE_NAME="one", **shared)
    two = settings(tmp_path, TIDEWIRE_NODE_NAME="two", **shared)
    with serving(one, tmp_path) as (_, url), serving(two, tmp_path, "--no-feed") as (other, _):
        visitors = Visitors(chromium, url, USERS, complaints)
        try:
            yield Site(open_feed(visitors.open(visitors.signed_in("admin")), columns=2), valkey, other)
        finally:
            visitors.close()


def badge(page: Page, node: str, part: str) -> Locator:
    """How a node reaches the bus (``bus``) or the room log (``room_log``)."""
    return page.locator(f'[data-testid=node-row][data-node="{node}"] [data-cell={part}] .state-badge')


def test_a_frozen_broker_is_shown_with_its_circuit_and_so_is_its_recovery(site: Site) -> None:
    """Frozen: a banner with since when and what is refused, the circuit, the other node unknown; thawed: all up."""
    page = site.page
    for node in ("one", "two"):
        for part in ("bus", "room_log"):
            expect(badge(page, node, part)).to_have_attribute("data-state", "up")
    expect(badge(page, "one", "room_log")).to_have_text("Up · circuit closed")
    error = page.locator('[data-testid=node-row][data-node="one"] [data-cell=last_error]')
    # A machine at its limit may have been slow already, and says so.
    expect(error).to_have_text(re.compile(r"^None since the start$|slow: a round trip took"))
    expect(page.get_by_test_id("banner-broker")).to_have_count(0)
    site.valkey.freeze()
    try:
        expect(badge(page, "one", "bus")).to_have_attribute("data-state", "down")
        expect(badge(page, "one", "room_log")).to_have_attribute("data-state", "down")
        expect(badge(page, "one", "room_log")).to_contain_text("circuit")
        expect(badge(page, "two", "bus")).to_have_attribute("data-state", "unknown")
        banner = page.get_by_test_id("banner-broker")
        expect(banner).to_contain_text("Not connected to Redis since")
        expect(banner).to_contain_text("Publishing to rooms is refused")
        expect(page.locator("[data-testid^=banner-node]")).to_have_count(0)
        assert violations(page) == []
    finally:
        site.valkey.thaw()
    for node in ("one", "two"):
        for part in ("bus", "room_log"):
            expect(badge(page, node, part)).to_have_attribute("data-state", "up")
    expect(page.get_by_test_id("banner-broker")).to_have_count(0)
    expect(error).not_to_have_text("None since the start")
    expect(page.locator("[data-testid=column][data-status=connected]")).to_have_count(2)


def test_a_node_that_is_not_heard_is_named_until_it_is(site: Site, tmp_path: Path) -> None:
    """SIGSTOP of the other node: a banner with its name, its row unknown; SIGCONT: as before."""
    page = site.page
    expect(badge(page, "two", "bus")).to_have_attribute("data-state", "up")
    with frozen(site.other.process.pid, tmp_path / "tidewire.db"):
        expect(page.get_by_text("The node two has not been heard of since")).to_be_visible()
        expect(badge(page, "two", "bus")).to_have_attribute("data-state", "unknown")
        expect(badge(page, "one", "bus")).to_have_attribute("data-state", "up")
    expect(badge(page, "two", "bus")).to_have_attribute("data-state", "up")
    expect(page.get_by_text("The node two has not been heard of since")).to_have_count(0)
