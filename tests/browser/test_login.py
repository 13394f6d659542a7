"""Getting in, not getting in, and getting out."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Complaints, Visitors, log_in, open_feed
from tests.support.page_wire import PageWire


def test_a_wrong_password_is_told_and_the_right_one_leads_back_to_where_one_was_going(
    visitors: Visitors, complaints: Complaints
) -> None:
    """An anonymous visitor of a page logs in and lands on that page; a wrong password says what to do."""
    complaints.expect("status of 401")
    page = visitors.open()
    page.goto("/admin/websockets?symbols=AAPL")
    expect(page).to_have_url(re.compile(r"/login\?next=/admin/websockets%3Fsymbols%3DAAPL$"))
    assert violations(page) == []
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("password")
    expect(page.get_by_label("User name")).to_have_value("admin")
    expect(page.get_by_label("Password")).to_have_value("")
    assert violations(page) == []
    page.get_by_label("Password").fill("tidewire-demo")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/admin/websockets\?symbols=AAPL$"))
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    assert "session" not in page.evaluate("document.cookie")


def test_who_is_not_an_administrator_is_refused_in_words(visitors: Visitors, complaints: Complaints) -> None:
    """The feed page answers 403 with what to do, and no socket is opened; the start page says what one may do."""
    complaints.expect("status of 403")
    page = visitors.open()
    wire = PageWire(page)
    log_in(page, "viewer", "tidewire-demo")
    expect(page.get_by_role("heading", name="Hello, viewer")).to_be_visible()
    answer = page.goto("/admin/websockets")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_test_id("error-status")).to_have_text("403")
    expect(page.get_by_test_id("error-action")).not_to_be_empty()
    expect(page.get_by_test_id("correlation-id")).not_to_be_empty()
    assert page.context.request.get("/api/admin/websocket-status").status == 403
    assert wire.sockets == []
    assert violations(page) == []


def test_logging_out_closes_the_sockets_of_the_session_and_their_pages_say_so(
    visitors: Visitors, complaints: Complaints
) -> None:
    """A page left open in another tab is cut off at once and offers to log in again."""
    state = visitors.signed_in("admin")
    page = visitors.open(state)
    wire = PageWire(page)
    open_feed(page)
    other = page.context.new_page()
    other.goto("/docs")
    complaints.expect("status of 401")
    other.get_by_test_id("user-menu").click()
    other.get_by_test_id("logout").click()
    expect(other).to_have_url(re.compile("/login$"))
    expect(page.get_by_test_id("banner-ended")).to_contain_text("Your session has ended")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "ended")
    assert all(socket.is_closed() for socket in wire.sockets)
    expect(page.get_by_test_id("login-again")).to_have_attribute("href", "/login?next=%2Fadmin%2Fwebsockets")
    assert violations(page) == []
    page.get_by_test_id("login-again").click()
    expect(page.get_by_test_id("login-form")).to_be_visible()


def test_an_open_session_skips_the_login_form(visitors: Visitors, admin_state: Any) -> None:
    """Whoever is logged in already is sent on, to this site only."""
    page = visitors.open(admin_state)
    page.goto("/login?next=//elsewhere.example/")
    expect(page).to_have_url(re.compile("/admin/websockets$"))
