"""What a quote's pages keep and tell when something changes around them: permissions, the login, the page itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.support.axe import violations
from tests.support.browser import Complaints
from tests.support.quote_site import QuoteSite, QuoteVisitors, control, field, rated, stored
from tidewire.web.language import LOCALES


def _kept(page: Page) -> list[str]:
    found: list[str] = page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('tidewire.edits'))")
    return found


def _words(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((LOCALES / f"{language}.json").read_text())
    return found


def test_edits_that_were_not_stored_outlive_a_reload(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """What waited and what was only typed is there again and stored; a conflict still asks; nothing is done twice."""
    number = quotes.make(vehicle_make="Volvo", vehicle_year=2001)
    page = people.open("bob", number)
    page.on("dialog", lambda dialog: dialog.accept())
    # The edits can go nowhere, and the page can be loaded all the same.
    page.evaluate("WebSocket.prototype.send = () => {}")
    control(page, "vehicle_make").fill("Saab")
    control(page, "vehicle_year").fill("1999")
    control(page, "vehicle_year").press("Tab")
    control(page, "annual_mileage").fill("7000")
    expect(page.get_by_test_id("waiting")).to_have_attribute("data-waiting", "2")
    quotes.patch(number, "ada", vehicle_year=2005)
    page.reload()
    stored(page)
    expect(field(page, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    expect(control(page, "annual_mileage")).to_have_value("7000")
    conflict = field(page, "vehicle_year").get_by_test_id("conflict")
    expect(conflict).to_contain_text("2005")
    page.reload()
    expect(conflict).to_contain_text("Yours: 1999")
    conflict.get_by_test_id("take-theirs").click()
    expect(conflict).to_be_hidden()
    assert _kept(page) == []
    fields = quotes.ask("GET", f"/{number}")["fields"]
    found = {name: (fields[name]["value"], fields[name]["revision"]) for name in ("vehicle_make", "annual_mileage")}
    assert found == {"vehicle_make": ("Saab", 2), "annual_mileage": (7000, 1)}


def test_losing_the_right_to_edit_is_told_on_the_open_page(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Without a keystroke the form becomes one to read, says why, and is one to write in when the right is back."""
    number = quotes.make(notes="for reading")
    page = people.open("bob", number)
    expect(page.get_by_test_id("calculate")).to_be_visible()
    with quotes.denied("bob", "quote:edit"):
        expect(page.get_by_test_id("banner-read-only")).to_contain_text("quote:edit")
        expect(control(page, "notes")).to_have_attribute("readonly", "")
        expect(page.get_by_test_id("calculate")).to_be_hidden()
        assert violations(page) == []
    expect(page.get_by_test_id("banner-read-only")).to_be_hidden()
    control(page, "notes").fill("for writing")
    stored(page)
    expect(field(page, "notes").get_by_test_id("note")).to_have_text(re.compile("^You, "))


def test_gaining_the_right_to_see_premiums_shows_them_without_a_reload(
    people: QuoteVisitors, quotes: QuoteSite
) -> None:
    """The open quote, its history and the open list get the premium, and give it back with the right."""
    number = quotes.make(**rated())
    quotes.ask("POST", f"/{number}/calculate", {})
    with quotes.denied("mod", "premium:view"):
        page, listing = people.open("mod", number), people.page("mod")
        expect(page.get_by_test_id("status")).to_have_text(re.compile("Quoted"))
        expect(page.get_by_test_id("premium")).to_be_hidden()
        listing.goto("/quotes")
        row = listing.locator(f'[data-quote="{number}"]')
        expect(row).to_be_visible()
        expect(listing.get_by_test_id("premium-column")).to_be_hidden()
    expect(page.get_by_test_id("premium-amount")).to_have_text(re.compile(r"^\$[\d,]+\.\d\d$"))
    amount = page.get_by_test_id("premium-amount").inner_text()
    expect(page.get_by_test_id("breakdown-line")).not_to_have_count(0)
    expect(page.get_by_test_id("history")).to_contain_text(amount)
    expect(listing.get_by_test_id("premium-column")).to_be_visible()
    expect(row).to_contain_text(amount)
    assert violations(listing) == []
    with quotes.denied("mod", "premium:view"):
        expect(listing.get_by_test_id("premium-column")).to_be_hidden()
        for one in (page, listing):
            expect(one.locator("body")).not_to_contain_text(amount)


def test_a_login_that_has_ended_is_told_and_keeps_what_was_not_stored(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """Both pages say so and lead to the login and back; what was typed is there after it."""
    complaints.expect("status of 401|status of 403|WebSocket")
    number = quotes.make()
    page, listing = people.open("bob", number), people.page("bob")
    page.on("dialog", lambda dialog: dialog.accept())
    listing.goto("/quotes")
    expect(listing.get_by_test_id("row").first).to_be_visible()
    control(page, "vehicle_year").fill("1999")
    with quotes.logged_out("bob"):
        ended = page.get_by_test_id("banner-ended")
        expect(ended.get_by_test_id("login-again")).to_have_attribute("href", f"/login?next=%2Fquotes%2F{number}")
        control(page, "vehicle_year").press("Tab")
        expect(page.get_by_test_id("waiting")).to_have_attribute("data-waiting", "1")
        expect(ended).to_contain_text("1")
        assert violations(page) == []
        expect(listing.get_by_test_id("banner-failed").get_by_test_id("login-again")).to_be_visible()
        expect(listing.get_by_test_id("row")).to_have_count(0)
        assert violations(listing) == []
    page.context.add_cookies(quotes.profile("bob")["cookies"])
    page.goto(f"/quotes/{number}")
    expect(field(page, "vehicle_year").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    assert quotes.ask("GET", f"/{number}")["fields"]["vehicle_year"]["value"] == 1999


def test_a_form_that_could_not_be_loaded_says_so(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """Without the fields' description there is no form: the page says what happened, and loads when it can be."""
    complaints.expect("ERR_FAILED|ERR_CONNECTION")
    number = quotes.make(customer_name="Hedy Lamarr")
    page = people.page("bob")
    page.route("**/api/v1/quotes/fields", lambda route: route.abort())
    page.goto(f"/quotes/{number}")
    failed = page.get_by_test_id("load-failed")
    expect(failed).to_contain_text("could not be reached")
    expect(page.get_by_test_id("skeleton")).to_be_hidden()
    assert violations(page) == []
    page.unroute("**/api/v1/quotes/fields")
    failed.get_by_role("button").click()
    expect(page.get_by_test_id("customer")).to_have_text("Hedy Lamarr")


def test_a_list_that_could_not_be_loaded_keeps_what_it_has(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """What is shown stays, with since when it is old and the server's reason; it is asked again by itself."""
    complaints.expect("status of 503")
    quotes.make(customer_name="Hedy Lamarr")
    page = people.page("bob")
    problem: dict[str, Any] = {"code": "storage_unavailable", "detail": "The database is away.", "will_not": "Guess."}
    page.goto("/quotes")
    expect(page.get_by_test_id("row").first).to_be_visible()
    page.route("**/api/v1/quotes?*", lambda route: route.fulfill(status=503, json=problem))
    page.route("**/api/v1/quotes", lambda route: route.fulfill(status=503, json=problem))
    # The list asks when it is told.
    quotes.make(customer_name="Hedy Lamarr")
    banner = page.get_by_test_id("banner-failed")
    expect(banner).to_contain_text("The database is away.")
    expect(page.get_by_test_id("row").first).to_be_visible()
    expect(page.get_by_test_id("live-state")).not_to_have_attribute("data-state", "live")
    assert violations(page) == []
    page.unroute_all()
    expect(banner).to_be_hidden()
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")


def test_the_pages_speak_german(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Every word of the form, the conflict, the list and their states; none is left in English."""
    number = quotes.make(**rated())
    page = people.page("ada", locale="de-DE")
    page.goto(f"/quotes/{number}")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_test_id("status")).to_have_text(re.compile("Entwurf"))
    expect(page.get_by_test_id("calculate")).to_have_text(re.compile("Berechnen"))
    control(page, "vehicle_year").fill("1999")
    quotes.patch(number, "bob", vehicle_year=2005)
    expect(field(page, "vehicle_year").get_by_test_id("note")).to_contain_text("2005")
    control(page, "vehicle_year").press("Tab")
    expect(field(page, "vehicle_year").get_by_test_id("take-theirs")).to_be_visible()
    shown = page.locator("body").inner_text()
    assert violations(page) == []
    page.goto("/quotes")
    expect(page.get_by_test_id("row").first).to_be_visible()
    shown += page.locator("body").inner_text()
    assert violations(page) == []
    for key in ("quote.calculate", "quote.conflict.take", "quote.saved", "quote.people", "quotes.new", "quotes.next"):
        words = {language: _words(language)[key] for language in ("en", "de")}
        assert words["en"] != words["de"]
        assert re.search(rf"\b{re.escape(words['en'])}\b", shown) is None, key


def test_the_right_to_make_quotes_comes_and_goes_on_the_open_list(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Button, key and palette follow the right without a reload; an open dialog keeps what is typed and cannot send."""
    quotes.make()
    page = people.page("bob")
    new, dialog = page.get_by_test_id("new"), page.get_by_test_id("new-dialog")
    with quotes.denied("bob", "quote:edit"):
        page.goto("/quotes")
        expect(page.get_by_test_id("row").first).to_be_visible()
        expect(new).to_be_hidden()
        page.keyboard.press("n")
        expect(dialog).to_be_hidden()
        page.keyboard.press("Control+k")
        page.keyboard.type("New quote")
        expect(page.locator("#palette").get_by_text("New quote", exact=True)).to_have_count(0)
        page.keyboard.press("Escape")
    expect(new).to_be_visible()
    page.keyboard.press("n")
    page.get_by_test_id("new-customer").fill("Emmy Noether")
    with quotes.denied("bob", "quote:edit"):
        expect(dialog.get_by_test_id("new-said")).to_contain_text("quote:edit")
        expect(dialog.get_by_test_id("new-go")).to_be_disabled()
        assert violations(page) == []
        expect(new).to_be_hidden()
    expect(dialog.get_by_test_id("new-said")).to_be_empty()
    expect(page.get_by_test_id("new-customer")).to_have_value("Emmy Noether")
    dialog.get_by_test_id("new-go").click()
    expect(page.get_by_test_id("customer")).to_have_text("Emmy Noether")


def test_controls_of_an_open_quote_follow_the_rights(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Calculating, binding and undoing go with quote:edit and come back with it; so does an open question to bind."""
    number = quotes.make(**rated())
    page = people.open("mod", number)
    page.get_by_test_id("calculate").click()
    expect(page.get_by_test_id("bind")).to_be_enabled()
    undo = page.get_by_test_id("undo").first
    expect(undo).to_be_visible()
    page.get_by_test_id("bind").click()
    page.get_by_test_id("bind-confirm").fill("bind")
    expect(page.get_by_test_id("bind-go")).to_be_enabled()
    with quotes.denied("mod", "quote:edit"):
        expect(page.get_by_test_id("bind-go")).to_be_disabled()
        expect(page.get_by_test_id("calculate")).to_be_hidden()
        expect(page.get_by_test_id("bind")).to_be_hidden()
        expect(page.get_by_test_id("undo")).to_have_count(0)
    expect(page.get_by_test_id("bind-go")).to_be_enabled()
    expect(page.get_by_test_id("undo").first).to_be_attached()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("calculate")).to_be_visible()
    expect(page.get_by_test_id("bind")).to_be_visible()


def test_errors_of_the_server_are_told_in_german_by_their_code(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """A wrong value, a refused undo, a list that fails, a new quote without a customer; what has no words is quoted."""
    complaints.expect("status of (400|409|503|507)")
    number = quotes.make(vehicle_make="Volvo")
    page = people.page("bob", locale="de-DE")
    page.goto(f"/quotes/{number}")
    control(page, "vehicle_year").fill("1066")
    control(page, "vehicle_year").press("Enter")
    expect(field(page, "vehicle_year").get_by_test_id("note")).to_have_text(re.compile(r"^Erlaubt ist \d+ bis \d+\.$"))
    control(page, "customer_email").fill("nowhere")
    control(page, "customer_email").press("Enter")
    expect(field(page, "customer_email").get_by_test_id("note")).to_have_text("Das ist keine E-Mail-Adresse.")
    for make in ("Saab", "Fiat"):
        quotes.patch(number, "ada", vehicle_make=make)
    expect(page.get_by_test_id("change").first).to_contain_text("Fiat")
    page.get_by_test_id("change").nth(1).get_by_test_id("undo").click()
    expect(page.get_by_test_id("history-said")).to_contain_text("Das wurde inzwischen geändert.")
    expect(page.get_by_test_id("history-said")).not_to_contain_text("since you saw it")
    page.goto("/quotes")
    page.get_by_test_id("new").click()
    page.get_by_test_id("new-go").click()
    expect(page.get_by_test_id("new-said")).to_have_text(re.compile(r"^Kunde: Erlaubt sind 1 bis \d+ Zeichen\.$"))
    page.keyboard.press("Escape")
    for code, status, words in (
        ("storage_unavailable", 503, "Die Datenbank ist nicht erreichbar."),
        ("code_of_tomorrow", 507, "Der Server sagt (auf Englisch): „The disk is full. Free some.“"),
    ):
        failing = _failing(status, {"code": code, "detail": "The disk is full.", "required_action": "Free some."})
        page.route(re.compile(r"/api/v1/quotes(\?|$)"), failing)
        # The list asks when it is told.
        quotes.patch(number, "ada", notes=code)
        expect(page.get_by_test_id("banner-failed")).to_contain_text(words)
        page.unroute_all()


def _failing(status: int, problem: dict[str, str]) -> Callable[[Route], None]:
    def answer(route: Route) -> None:
        route.fulfill(status=status, json=problem)

    return answer


def test_the_list_is_told_of_changes_and_of_nothing_else(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """Rows, counts and rights come over the socket to a list that never asks by itself; the socket says no more."""
    complaints.expect("status of 403")
    old = quotes.make(customer_name="Mary Somerville")
    page = people.page("bob")
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    page.add_init_script("window.setInterval = () => 0")
    page.goto("/quotes?search=somerville")
    row = page.locator(f'[data-quote="{old}"]')
    expect(row).to_be_visible()
    quotes.patch(old, "ada", vehicle_make="Saab")
    expect(row).to_contain_text("Saab")
    expect(row).to_have_attribute("data-flash", re.compile("a|b"))
    new = quotes.make(customer_name="Martha Somerville")
    expect(page.get_by_test_id("row")).to_have_count(2)
    expect(page.locator("[data-count=draft]")).to_have_text("2")
    with quotes.denied("bob", "quote:edit"):
        expect(page.get_by_test_id("new")).to_be_hidden()
    expect(page.get_by_test_id("new")).to_be_visible()
    with quotes.denied("bob", "quote:view"):
        expect(page.get_by_test_id("row")).to_have_count(0)
    news = [frame for frame in heard if "quotes_changed" in frame]
    assert news
    assert not [frame for frame in news for word in (old, new, "Somerville", "Saab", "premium") if word in frame]
