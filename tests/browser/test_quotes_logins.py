"""An open quote when its connection ends for want of a login, or is told to come again: nothing typed is lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.axe import violations
from tests.support.browser import Complaints
from tests.support.quote_site import QuoteSite, QuoteVisitors, control, field, stored

# Keeps the page's sockets, and lets a test take what one of them sends.
SOCKETS = """
window.sockets = [];
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) { if (this.deaf !== true) send.call(this, data); };
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) { super(...given); window.sockets.push(this); }
};
"""
TOKENS = "/api/v1/connection-token"


def _open(people: QuoteVisitors, number: str, asked: list[str]) -> Page:
    """Open bob's page of a quote; ``asked`` gets the addresses that it asks."""
    page = people.page("bob")
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: dialog.accept())
    page.add_init_script(SOCKETS)
    page.goto(f"/quotes/{number}")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    # Nothing is on its way any more that a socket which is made deaf would swallow.
    expect(page.get_by_test_id("quote")).to_be_visible()
    return page


def _type(page: Page) -> None:
    """Send an edit that never arrives, and type another one without leaving its field."""
    page.evaluate("window.sockets.at(-1).deaf = true")
    control(page, "vehicle_make").fill("Saab")
    control(page, "vehicle_make").press("Tab")
    expect(page.get_by_test_id("waiting")).to_have_attribute("data-waiting", "1")
    control(page, "annual_mileage").press_sequentially("7000")


def _finish(page: Page, quotes: QuoteSite, number: str) -> None:
    """Check that both are there, leave the field, and check that both are stored once."""
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    stored(page)
    expect(control(page, "annual_mileage")).to_have_value("7000")
    control(page, "annual_mileage").press("Enter")
    stored(page)
    for name in ("vehicle_make", "annual_mileage"):
        expect(field(page, name).get_by_test_id("note")).to_have_text(re.compile("^You, "))
    fields = quotes.ask("GET", f"/{number}")["fields"]
    found = {name: (fields[name]["value"], fields[name]["revision"], fields[name]["by"]) for name in fields}
    assert found["vehicle_make"] == ("Saab", 1, "bob")
    assert found["annual_mileage"] == (7000, 1, "bob")


@pytest.mark.parametrize("code", [None, 4202])
def test_an_expired_token_is_replaced_and_nothing_typed_is_lost(
    people: QuoteVisitors, quotes: QuoteSite, code: int | None
) -> None:
    """4200 when it ends, or 4202: the page gets a new token, connects, sends what waited, keeps what is typed."""
    number, asked = quotes.make(), list[str]()
    page = _open(people, number, asked)
    _type(page)
    assert not [url for url in asked if url.endswith(TOKENS)]
    quotes.end_sockets("bob", code)
    expect(field(page, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    assert [url for url in asked if url.endswith(TOKENS)]
    expect(control(page, "annual_mileage")).to_be_focused()
    expect(page.get_by_test_id("banner-ended")).to_be_hidden()
    _finish(page, quotes, number)


@pytest.mark.parametrize("code", [4004, 4101, 4103, 4105])
def test_a_timeout_is_followed_by_a_new_connection(people: QuoteVisitors, quotes: QuoteSite, code: int) -> None:
    """No pong, storage away, too fast, no authentication in time: the same page goes on with all that was entered."""
    number, asked = quotes.make(), list[str]()
    page = _open(people, number, asked)
    _type(page)
    quotes.end_sockets("bob", code)
    _finish(page, quotes, number)
    assert page.evaluate("window.sockets.length") > 1


def test_a_login_in_another_tab_takes_up_the_page_where_it_was(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """While nobody is logged in the page says so and asks no more than when looked at; then it goes on by itself."""
    complaints.expect("status of 401|WebSocket")
    number, asked = quotes.make(), list[str]()
    page = _open(people, number, asked)
    _type(page)
    with quotes.logged_out("bob"):
        expect(page.get_by_test_id("banner-ended")).to_be_visible()
        with page.expect_response(lambda answer: answer.url.endswith(TOKENS)) as refused:
            page.evaluate("window.dispatchEvent(new Event('focus'))")
        assert refused.value.status == 401
        expect(page.get_by_test_id("banner-ended").get_by_test_id("login-again")).to_be_visible()
        expect(control(page, "annual_mileage")).to_have_value("7000")
    page.context.add_cookies(quotes.profile("bob")["cookies"])
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.get_by_test_id("banner-ended")).to_be_hidden()
    _finish(page, quotes, number)


def test_an_expired_login_is_asked_for_once_and_told(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """4200 and no token to be had: the page says that the session has expired, where to log in, and what waits."""
    complaints.expect("status of 401")
    number, asked = quotes.make(), list[str]()
    page = _open(people, number, asked)
    _type(page)
    page.context.clear_cookies()
    quotes.end_sockets("bob")
    ended = page.get_by_test_id("banner-ended")
    expect(ended).to_contain_text("expired")
    expect(ended).to_contain_text("Edits that were not stored")
    expect(ended.get_by_test_id("login-again")).to_have_attribute("href", f"/login?next=%2Fquotes%2F{number}")
    assert violations(page) == []
    assert len([url for url in asked if url.endswith(TOKENS)]) == 1
    expect(control(page, "annual_mileage")).to_have_value("7000")


def test_edits_are_never_stored_in_the_name_of_somebody_else(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """Another login in the same browser: the page hides what it showed, sends nothing, and keeps it for its person."""
    complaints.expect("WebSocket")
    number, asked = quotes.make(customer_name="Grace Hopper"), list[str]()
    page = _open(people, number, asked)
    _type(page)
    page.context.add_cookies(quotes.profile("ada")["cookies"])
    quotes.end_sockets("bob", 4004)
    expect(page.get_by_test_id("banner-other-user")).to_contain_text("Somebody else has logged in")
    expect(page.get_by_test_id("quote")).to_be_hidden()
    expect(page.get_by_test_id("skeleton")).to_be_hidden()
    expect(page).not_to_have_title(re.compile("Grace"))
    assert "Grace" not in page.content()
    assert violations(page) == []
    assert quotes.ask("GET", f"/{number}")["fields"]["vehicle_make"]["revision"] == 0
    page.context.add_cookies(quotes.profile("bob")["cookies"])
    page.get_by_test_id("load-again").click()
    expect(field(page, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    state = quotes.ask("GET", f"/{number}")["fields"]["vehicle_make"]
    assert (state["value"], state["by"], state["revision"]) == ("Saab", "bob", 1)
