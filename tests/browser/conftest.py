"""One Chromium and one demo for this folder; a fresh profile for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import Complaints, Visitors, open_feed, running_chromium
from tests.support.demo import Demo, demo
from tests.support.quote_site import QuoteSite, QuoteVisitors, quote_site

__all__ = ["demo"]

# One file for each page that is tested here.
QUICK = {"test_columns", "test_login", "test_quotes_together"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder; most are long, and the same pages are tested in-process in tests/web, too."""
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            if item.path.stem not in QUICK:
                item.add_marker(pytest.mark.long)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Chromium; of the package, because Playwright's loop must be gone before async tests run."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def admin_state(chromium: Browser, demo: Demo) -> Any:
    """The profile of somebody who has logged in as the demo's admin; one login, because logins are limited."""
    visitors = Visitors(chromium, demo.url, demo.users, Complaints())
    return visitors.signed_in("admin")


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What the browser complains about in this test; anything unexpected fails it."""
    heard = Complaints()
    yield heard
    assert heard.unexpected == []


@pytest.fixture
def visitors(chromium: Browser, demo: Demo, complaints: Complaints) -> Iterator[Visitors]:
    """Opens profiles on the demo."""
    opened = Visitors(chromium, demo.url, demo.users, complaints)
    yield opened
    opened.close()


@pytest.fixture
def feed(visitors: Visitors, admin_state: Any) -> Page:
    """The feed page of an administrator, live."""
    return open_feed(visitors.open(admin_state))


@pytest.fixture(scope="package")
def quotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuoteSite]:
    """One web process with quotes for this folder; each test makes its own quotes."""
    with quote_site(tmp_path_factory.mktemp("quotes")) as site:
        yield site


@pytest.fixture
def people(chromium: Browser, quotes: QuoteSite, complaints: Complaints) -> Iterator[QuoteVisitors]:
    """Browsers of several people on the quotes' process."""
    opened = QuoteVisitors(chromium, quotes, complaints)
    yield opened
    opened.close()
