"""One quote in several people's browsers: what one does, the others see, and nothing is overwritten silently."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.support.axe import violations
from tests.support.browser import Complaints
from tests.support.quote_site import QuoteSite, QuoteVisitors, control, field, stored


def test_an_edit_in_one_browser_appears_in_the_other_with_its_author(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Text, a choice and a checkbox travel both ways; the other sees who it was and where they are."""
    number = quotes.make()
    ada, bob = people.open("ada", number), people.open("bob", number)
    expect(ada.get_by_test_id("person")).to_have_text(["ada (you)", "bob"])
    control(bob, "vehicle_make").click()
    expect(field(ada, "vehicle_make").get_by_test_id("field-people")).to_have_text("bob is here")
    control(bob, "vehicle_make").press_sequentially("Sub")
    expect(field(ada, "vehicle_make").get_by_test_id("field-people")).to_have_text("bob is typing")
    control(bob, "vehicle_make").press_sequentially("aru")
    # Nobody left the field: a pause is enough.
    expect(control(ada, "vehicle_make")).to_have_value("Subaru")
    expect(field(ada, "vehicle_make")).to_have_attribute("data-flash", re.compile("a|b"))
    expect(field(ada, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^bob, "))
    expect(field(bob, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    control(ada, "coverage_collision").select_option("500")
    control(ada, "discount_paid_in_full").check()
    expect(control(bob, "coverage_collision")).to_have_value("500")
    expect(control(bob, "discount_paid_in_full")).to_be_checked()
    control(bob, "notes").focus()
    expect(field(ada, "vehicle_make").get_by_test_id("field-people")).to_have_text("")
    bob.context.close()
    expect(ada.locator("[data-others]")).to_have_count(0)


def test_a_conflict_is_shown_and_only_the_person_ends_it(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Both values stand side by side with who and when; theirs may stay, or mine be put over it as a new change."""
    number = quotes.make()
    ada, bob = people.open("ada", number), people.open("bob", number)
    # A number is stored on leaving the field, so both have typed before either has stored.
    for page, year in ((ada, "1990"), (bob, "1991")):
        control(page, "vehicle_year").fill(year)
    control(bob, "vehicle_year").press("Enter")
    expect(field(ada, "vehicle_year").get_by_test_id("note")).to_contain_text("bob has changed this meanwhile to: 1991")
    expect(control(ada, "vehicle_year")).to_have_value("1990")
    control(ada, "vehicle_year").press("Enter")
    conflict = field(ada, "vehicle_year").get_by_test_id("conflict")
    expect(conflict.get_by_test_id("conflict-theirs")).to_have_text(re.compile(r"^bob, \d\d:\d\d:\d\d: 1991$"))
    expect(conflict.get_by_test_id("conflict-mine")).to_have_text("Yours: 1990")
    expect(ada.get_by_test_id("banner-conflicts")).to_contain_text("Yours is not stored")
    assert violations(ada) == []
    assert quotes.ask("GET", f"/{number}")["fields"]["vehicle_year"]["value"] == 1991
    conflict.get_by_test_id("put-mine").press("Enter")
    expect(control(bob, "vehicle_year")).to_have_value("1990")
    expect(conflict).to_be_hidden()
    expect(control(ada, "vehicle_year")).to_be_focused()
    control(ada, "annual_mileage").fill("5000")
    quotes.patch(number, "bob", annual_mileage=7000)
    expect(field(ada, "annual_mileage").get_by_test_id("note")).to_contain_text("7000")
    control(ada, "annual_mileage").press("Tab")
    field(ada, "annual_mileage").get_by_test_id("take-theirs").click()
    expect(control(ada, "annual_mileage")).to_have_value("7000")
    assert quotes.ask("GET", f"/{number}")["fields"]["annual_mileage"]["revision"] == 1
    expect(ada.get_by_test_id("banner-conflicts")).to_be_hidden()


def test_a_wrong_value_is_refused_with_the_reason_beside_the_field(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """The server's reason stands under the field, the value stays to be mended, nobody else gets it."""
    number = quotes.make()
    page = people.open("bob", number)
    control(page, "customer_email").fill("not an address")
    control(page, "customer_email").press("Enter")
    expect(field(page, "customer_email").get_by_test_id("note")).to_have_text("This is not an e-mail address.")
    expect(control(page, "customer_email")).to_have_attribute("aria-invalid", "true")
    expect(control(page, "customer_email")).to_have_value("not an address")
    assert violations(page) == []
    control(page, "customer_email").fill("grace@example.org")
    control(page, "customer_email").press("Enter")
    expect(field(page, "customer_email").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    assert quotes.ask("GET", f"/{number}")["fields"]["customer_email"]["value"] == "grace@example.org"


def test_escape_drops_what_was_typed(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """What stood there comes back, and nothing was stored."""
    number = quotes.make(vehicle_year=2001)
    page = people.open("bob", number)
    control(page, "vehicle_year").fill("1999")
    control(page, "vehicle_year").press("Escape")
    expect(control(page, "vehicle_year")).to_have_value("2001")
    control(page, "vehicle_make").focus()
    stored(page)
    assert quotes.ask("GET", f"/{number}")["fields"]["vehicle_year"]["revision"] == 1


def test_edits_made_offline_are_rebased_and_those_of_changed_fields_are_conflicts(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """Without a network the form stays usable and counts what waits; then untouched fields are stored, others asked."""
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    number = quotes.make(vehicle_make="Volvo", vehicle_year=2001)
    page = people.open("bob", number)
    with quotes.offline(page):
        expect(page.get_by_test_id("live-state")).to_contain_text("offline since")
        control(page, "vehicle_make").fill("Saab")
        control(page, "vehicle_year").fill("1999")
        control(page, "vehicle_year").press("Tab")
        expect(page.get_by_test_id("banner-reconnecting")).to_contain_text("Edits that wait on this page: 2.")
        expect(field(page, "vehicle_make").get_by_test_id("note")).to_have_text("Waits for the connection")
        assert violations(page) == []
        quotes.patch(number, "ada", vehicle_year=2005)
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    expect(field(page, "vehicle_year").get_by_test_id("conflict")).to_contain_text("2005")
    stored(page)
    expect(field(page, "vehicle_make").get_by_test_id("note")).to_have_text(re.compile("^You, "))
    fields = quotes.ask("GET", f"/{number}")["fields"]
    assert (fields["vehicle_make"]["value"], fields["vehicle_year"]["value"]) == ("Saab", 2005)


def test_an_edit_whose_answer_was_lost_is_stored_once(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """The connection is cut in the middle of many edits; each is stored, and none twice."""
    complaints.expect("ERR_")
    number = quotes.make()
    page = people.open("bob", number)
    names = ("vehicle_make", "vehicle_model", "driver_name", "customer_email", "vehicle_year", "annual_mileage")
    for name in names:
        control(page, name).fill("2001" if name in names[-2:] else "a@b.example")
        control(page, name).press("Tab")
        quotes.loop.call_soon_threadsafe(quotes.proxy.reset)
    stored(page)
    expect(page.get_by_test_id("conflict").locator("visible=true")).to_have_count(0)
    fields = quotes.ask("GET", f"/{number}")["fields"]
    assert {name: fields[name]["revision"] for name in names} == dict.fromkeys(names, 1)


def test_an_answer_that_comes_late_is_not_shown_to_somebody_else(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """The history was asked for as bob and comes when ada has logged in; and it comes in the end when bob is back."""
    complaints.expect("WebSocket")
    number, changes = quotes.make(customer_name="Grace Hopper"), re.compile("/changes")
    page, held = people.page("bob"), list[Route]()
    page.route(changes, lambda route: held.append(route))
    with page.expect_request(changes):
        page.goto(f"/quotes/{number}")
    expect(page.get_by_test_id("quote")).to_be_visible()
    page.context.add_cookies(quotes.profile("ada")["cookies"])
    quotes.end_sockets("bob", 4004)
    expect(page.get_by_test_id("banner-other-user")).to_be_visible()
    with page.expect_response(changes):
        held[0].continue_()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert "Grace" not in page.content()
    page.unroute_all()
    page.context.add_cookies(quotes.profile("bob")["cookies"])
    page.get_by_test_id("load-again").click()
    expect(page.get_by_test_id("change").filter(has_text="Grace Hopper")).to_be_visible()
