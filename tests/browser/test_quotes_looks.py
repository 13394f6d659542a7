"""A quote's page and the list in each of their states, for whoever looks at them and however."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Complaints
from tests.support.quote_site import QuoteSite, QuoteVisitors, control, field, rated

NOBODY = "00000000-0000-4000-8000-000000000000"


def test_a_premium_is_calculated_with_its_progress_and_bound_after_asking(
    people: QuoteVisitors, quotes: QuoteSite
) -> None:
    """What is missing is named; then the premium with its parts; binding wants the word typed, and ends all editing."""
    facts = rated()
    number = quotes.make(**{name: value for name, value in facts.items() if name != "vehicle_year"})
    page, other = people.open("ada", number), people.open("mod", number)
    expect(page.get_by_test_id("missing-field")).to_have_text(["Model year"])
    expect(page.get_by_test_id("calculate")).to_be_disabled()
    page.get_by_test_id("missing-field").click()
    expect(control(page, "vehicle_year")).to_be_focused()
    control(page, "vehicle_year").fill("2021")
    control(page, "vehicle_year").press("Enter")
    page.get_by_test_id("calculate").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile("Quoted"))
    expect(page.get_by_test_id("premium-amount")).to_have_text(re.compile(r"^\$[\d,]+\.\d\d$"))
    expect(page.get_by_test_id("breakdown-line")).not_to_have_count(0)
    expect(page.get_by_test_id("progress-said")).to_have_text("The premium has been calculated.")
    expect(other.get_by_test_id("premium-amount")).to_have_text(page.get_by_test_id("premium-amount").inner_text())
    assert violations(page) == []
    page.get_by_test_id("bind").click()
    dialog = page.get_by_test_id("bind-dialog")
    expect(dialog.get_by_test_id("bind-go")).to_be_disabled()
    assert violations(page) == []
    dialog.get_by_test_id("bind-confirm").fill("bind")
    dialog.get_by_test_id("bind-go").click()
    expect(dialog).to_be_hidden()
    for one in (page, other):
        expect(one.get_by_test_id("banner-bound")).to_contain_text("cannot be changed")
        expect(control(one, "notes")).to_have_attribute("readonly", "")
        expect(control(one, "state")).to_be_disabled()
        expect(one.get_by_test_id("undo")).to_have_count(0)
        expect(one.get_by_test_id("bind")).to_be_hidden()


def test_a_changed_fact_takes_the_premium_away_for_everybody(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """A premium is for the facts it was made for: it goes with the change, and the quote is a draft again."""
    number = quotes.make(**rated())
    page = people.open("ada", number)
    page.get_by_test_id("calculate").click()
    expect(page.get_by_test_id("premium")).to_have_attribute("data-premium", "known")
    quotes.patch(number, "bob", annual_mileage=15_000)
    expect(page.get_by_test_id("status")).to_have_text(re.compile("Draft"))
    expect(page.get_by_test_id("premium")).to_have_attribute("data-premium", "none")
    expect(page.get_by_test_id("breakdown-line")).to_have_count(0)


def test_without_the_permission_there_is_no_premium_anywhere(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Not on the page, in its history, its messages, nor in the list; losing the permission takes it away at once."""
    number = quotes.make(**rated())
    page = people.page("bob")
    heard: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    page.on("response", lambda answer: heard.append(answer.text()) if "/api/v1/quotes" in answer.url else None)
    page.goto(f"/quotes/{number}")
    expect(page.get_by_test_id("quote")).to_be_visible()
    moderator = people.open("mod", number)
    page.get_by_test_id("calculate").click()
    expect(moderator.get_by_test_id("premium")).to_have_attribute("data-premium", "known")
    amount = moderator.get_by_test_id("premium-amount").inner_text()
    expect(moderator.get_by_test_id("history")).to_contain_text(amount)
    expect(page.get_by_test_id("status")).to_have_text(re.compile("Quoted"))
    expect(page.get_by_test_id("premium")).to_be_hidden()
    expect(page.get_by_test_id("history")).to_contain_text("(not shown to you)")
    page.goto("/quotes")
    expect(page.get_by_test_id("row")).not_to_have_count(0)
    expect(page.get_by_test_id("premium-column")).to_be_hidden()
    bare = amount.lstrip("$").replace(",", "")
    assert heard
    assert not [text for text in heard if bare in text or "premium_amount" in text]
    with quotes.denied("mod", "premium:view"):
        expect(moderator.get_by_test_id("premium")).to_be_hidden()
        expect(moderator.get_by_test_id("history")).to_contain_text("(not shown to you)")
        expect(moderator.locator("body")).not_to_contain_text(amount)
    expect(moderator.get_by_test_id("premium-amount")).to_have_text(amount)


def test_a_revoked_permission_is_told_at_once(people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints) -> None:
    """What somebody may no longer see leaves the screen, with the reason and what to do; later it can be back."""
    complaints.expect("status of 403")
    number = quotes.make(customer_name="Katherine Johnson")
    page, listing = people.open("bob", number), people.page("bob")
    listing.goto("/quotes")
    expect(listing.get_by_test_id("row").first).to_be_visible()
    with quotes.denied("bob", "quote:view"):
        expect(page.get_by_test_id("banner-revoked")).to_contain_text("the permission was taken back")
        expect(page.get_by_test_id("quote")).to_be_hidden()
        expect(page).not_to_have_title(re.compile("Katherine"))
        expect(control(page, "customer_name")).to_have_value("")
        assert "Katherine" not in page.content()
        assert violations(page) == []
        expect(listing.get_by_test_id("banner-forbidden")).to_contain_text("quote:view")
        expect(listing.get_by_test_id("row")).to_have_count(0)
        refused = people.page("bob")
        refused.goto("/quotes")
        expect(refused.get_by_test_id("error-status")).to_contain_text("403")
    page.get_by_test_id("ask-again").click()
    expect(page.get_by_test_id("customer")).to_have_text("Katherine Johnson")


def test_who_may_not_edit_reads_and_is_told_why(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """No input takes anything, there is nothing to press, and the reason stands above."""
    number = quotes.make(notes="for reading")
    with quotes.denied("bob", "quote:edit"):
        page = people.open("bob", number)
        expect(page.get_by_test_id("banner-read-only")).to_contain_text("quote:edit")
        expect(control(page, "notes")).to_have_value("for reading")
        expect(control(page, "notes")).to_have_attribute("readonly", "")
        expect(page.get_by_test_id("calculate")).to_be_hidden()
        expect(page.get_by_test_id("undo")).to_have_count(0)
        page.goto("/quotes")
        expect(page.get_by_test_id("row")).not_to_have_count(0)
        expect(page.get_by_test_id("new")).to_be_hidden()


def test_history_goes_back_page_by_page_and_undoes_as_a_new_change(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """The newest is above with who and what; undoing puts the value back and is a change itself, or is refused."""
    complaints.expect("status of 409")
    number = quotes.make(vehicle_make="Volvo")
    for turn in range(20):
        quotes.patch(number, "ada", annual_mileage=5000 + turn)
    page = people.open("bob", number)
    changes = page.get_by_test_id("change")
    expect(changes).to_have_count(15)
    expect(changes.first).to_contain_text("5018 → 5019")
    page.get_by_test_id("history-more").click()
    expect(changes).to_have_count(24)
    expect(page.get_by_test_id("history-more")).to_be_hidden()
    changes.first.get_by_test_id("undo").click()
    expect(control(page, "annual_mileage")).to_have_value("5018")
    expect(changes).to_have_count(25)
    expect(changes.first).to_contain_text("5019 → 5018")
    expect(changes.first).to_contain_text("bob")
    changes.nth(3).get_by_test_id("undo").click()
    expect(page.get_by_test_id("history-said")).to_contain_text("will not")


def test_a_quote_that_is_not_there_is_said_to_be_not_there(people: QuoteVisitors, complaints: Complaints) -> None:
    """A number that nobody has, and an address that is no number."""
    page = people.page("bob")
    page.goto(f"/quotes/{NOBODY}")
    expect(page.get_by_test_id("banner-missing")).to_contain_text("There is no such quote")
    expect(page.get_by_test_id("skeleton")).to_be_hidden()
    assert violations(page) == []
    complaints.expect("status of 404")
    page.goto("/quotes/12")
    expect(page.get_by_test_id("error-status")).to_contain_text("404")


@pytest.mark.parametrize("width", [375, 320])
def test_a_quote_fits_a_phone(people: QuoteVisitors, quotes: QuoteSite, width: int) -> None:
    """No sideways scrolling, also with long words, a conflict and the palette; every target can be hit."""
    number = quotes.make(customer_name="W" * 120, notes="n" * 300)
    page = people.open("bob", number, viewport={"width": width, "height": 812}, color_scheme="dark")
    control(page, "vehicle_make").fill("mine" * 15)
    quotes.patch(number, "ada", vehicle_make="theirs" * 10)
    expect(field(page, "vehicle_make")).to_be_visible()
    control(page, "vehicle_make").press("Enter")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert violations(page) == []
    page.goto("/quotes")
    expect(page.get_by_test_id("row").first).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert violations(page) == []


def test_the_list_filters_on_the_server_and_keeps_it_in_the_address(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Search, state and status narrow it, counts follow, a reload and Back bring the same; nothing found says so."""
    for turn in range(3):
        quotes.make(customer_name=f"Zuse {turn}", state="NV")
    quotes.make(customer_name="Zuse elsewhere", state="UT")
    page = people.page("bob")
    page.goto("/quotes")
    page.keyboard.press("/")
    page.keyboard.type("zuse")
    expect(page.get_by_test_id("row")).to_have_count(4)
    page.get_by_test_id("state").select_option("NV")
    expect(page.get_by_test_id("row")).to_have_count(3)
    expect(page.locator("[data-count=draft]")).to_have_text("3")
    expect(page).to_have_url(re.compile(r"\?search=zuse&state=NV$"))
    page.reload()
    expect(page.get_by_test_id("row")).to_have_count(3)
    expect(page.get_by_test_id("search")).to_have_value("zuse")
    quotes.make(customer_name="Zuse new", state="NV")
    # Nobody pressed anything: the list asks again by itself.
    expect(page.locator("[data-count=draft]")).to_have_text("4")
    assert violations(page) == []
    page.get_by_test_id("status-bound").click()
    expect(page.get_by_test_id("empty")).to_contain_text("No quote matches")
    assert violations(page) == []
    page.get_by_test_id("clear").click()
    expect(page).to_have_url(re.compile("/quotes$"))


def test_the_list_is_paged_by_the_server(people: QuoteVisitors, quotes: QuoteSite) -> None:
    """Older and newer lead through all of it, also with the browser's Back and after a reload."""
    for turn in range(103):
        quotes.make(customer_name=f"Lovelace {turn:03}", state="ME")
    page = people.page("bob")
    page.goto("/quotes?state=ME")
    first = page.get_by_test_id("row").first
    expect(first).to_contain_text("Lovelace 102")
    expect(page.get_by_test_id("row")).to_have_count(50)
    expect(page.get_by_test_id("sum")).to_have_text("50 of 103 quotes")
    page.get_by_test_id("next").click()
    expect(first).to_contain_text("Lovelace 052")
    page.get_by_test_id("next").click()
    expect(page.get_by_test_id("row")).to_have_count(3)
    expect(page.get_by_test_id("next")).to_be_disabled()
    page.get_by_test_id("previous").click()
    expect(first).to_contain_text("Lovelace 052")
    page.go_back()
    expect(first).to_contain_text("Lovelace 002")
    page.reload()
    expect(first).to_contain_text("Lovelace 002")
    page.get_by_test_id("previous").click()
    expect(first).to_contain_text("Lovelace 052")
    page.get_by_test_id("previous").click()
    expect(first).to_contain_text("Lovelace 102")
    expect(page.get_by_test_id("previous")).to_be_disabled()


def test_a_new_quote_is_made_with_the_keyboard(
    people: QuoteVisitors, quotes: QuoteSite, complaints: Complaints
) -> None:
    """N opens the form, Enter makes it; without a customer the reason is said and nothing is made."""
    complaints.expect("status of 422|status of 400")
    page = people.page("bob")
    page.goto("/quotes")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("new-state").locator("option")).not_to_have_count(0)
    page.keyboard.press("n")
    expect(page.get_by_test_id("new-customer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("new-said")).not_to_be_empty()
    expect(page.get_by_test_id("new-customer")).to_have_attribute("aria-invalid", "true")
    assert violations(page) == []
    page.keyboard.type("Emmy Noether")
    page.get_by_test_id("new-state").select_option("PA")
    page.get_by_test_id("new-go").press("Enter")
    expect(page.get_by_test_id("customer")).to_have_text("Emmy Noether")
    expect(control(page, "state")).to_have_value("PA")
    page.keyboard.press("Control+k")
    page.keyboard.type("quotes")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/quotes$"))
