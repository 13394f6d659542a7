"""A rating plan is refused with file, line and reason for whatever could make rating fail or absurd."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quotes.plans import SMALL, line_of, shipped, small
from tidewire.core.errors import SettingsError
from tidewire.quotes.model import FIELDS, STATES
from tidewire.quotes.plan_text import FACTOR_MAX, parse_plan

# How long one example takes says something about the machine, not about the code.
RELAXED = settings(deadline=None)


def refused(text: str) -> str:
    """Return the message with which a text is refused, having checked that the other sentences are there."""
    with pytest.raises(SettingsError) as caught:
        parse_plan(text, "a.toml")
    assert caught.value.code == "rating_plan_invalid"
    assert caught.value.required_action
    assert caught.value.will_not
    return caught.value.message


# What is replaced, by what, the line that must be named (by its text after the change), the reason.
SLIPS = {
    "missing state": ("TX = 0.9\n", "", "[coverages.liability.state]", "no factor for TX"),
    "unknown state": ("TX = 0.9\n", "TX = 0.9\nZZ = 1\n", "ZZ = 1", '"ZZ", which plan.states does not have'),
    "missing coverage table": ("[coverages.collision.state]\nCA = 1.10\nTX = 1.00\n", "", "[coverages.collision]",
                               "[coverages.collision.state] is missing"),
    "missing variable table": ('[coverages.collision.vehicle_value]\n"500..10000" = 0.7\n"10000..50001" = 1.3\n', "",
                               "[coverages.collision]", "coverages.collision.vehicle_value"),
    "gap": ('"16..25"', '"16..24"', '"25..100"', "nothing covers 24..25"),
    "gap at the beginning": ('"16..25"', '"17..25"', '"17..25"', "nothing covers 16..17"),
    "gap at the end": ('"25..100"', '"25..99"', '"25..99"', "nothing covers 99..100"),
    "overlap": ('"16..25"', '"16..26"', '"25..100"', '25..100 overlaps "16..26"'),
    "band twice in two ways": ('"16..25" = 2.0', '"16..24" = 2.0\n"24" = 3\n"24..25" = 3', '"24..25"', "overlaps"),
    "band beyond the range": ('"25..100"', '"25..101"', '"25..101"', "reaches beyond 16..100"),
    "no range": ('"25..100"', '"old"', '"old"', "no range"),
    "key twice": ("CA = 1.2\n", "CA = 1.2\nCA = 1.3\n", "CA = 1.3", "written twice, first in line"),
    "table twice": ("[discounts.paid_in_full]", "[ranges]", "[ranges]\ntitle", "written twice"),
    "key twice at the end": ('coverages = ["liability", "collision"]\n', 'coverages = ["liability"]\nfactor = 0.9\n',
                             "factor = 0.9\n", "written twice"),
    "zero": ("TX = 0.9", "TX = 0", "TX = 0", "from 0.05 to 20"),
    "negative": ("TX = 0.9", "TX = -0.9", "TX = -0.9", "from 0.05 to 20"),
    "absurd": ("TX = 0.9", "TX = 90", "TX = 90", "from 0.05 to 20"),
    "huge": ("TX = 0.9", "TX = 1e400", "TX = 1e400", "from 0.05 to 20"),
    "beyond Decimal": ("TX = 0.9", "TX = 1e99999999999999999999", "TX = 1e9", "must be a number"),
    "not a number": ("TX = 0.9", "TX = nan", "TX = nan", "must be a number"),
    "infinite": ("TX = 0.9", "TX = inf", "TX = inf", "must be a number"),
    "truth": ("TX = 0.9", "TX = true", "TX = true", "must be a number"),
    "text": ("TX = 0.9", 'TX = "0.9"', 'TX = "0.9"', "must be a number"),
    "list": ("TX = 0.9", "TX = [0.9]", "TX = [0.9]", "must be a number"),
    "too many decimals": ("TX = 0.9", "TX = 0.90001", "TX = 0.90001", "more than 4 decimal places"),
    "base rate of nothing": ("base_rate = 100.00", "base_rate = 0", "base_rate = 0", "from 0.01"),
    "base rate in fractions of cents": ("base_rate = 100.00", "base_rate = 1.001", "base_rate = 1.001", "2 decimal"),
    "negative fee": ("policy_fee = 10.00", "policy_fee = -1", "policy_fee = -1", "from 0 to"),
    "unknown key": ("term_months = 6", "term_months = 6\nterm_month = 6", "term_month = 6", "not a known key"),
    "unknown table": ("[ranges]", "[extras]\n[ranges]", "[extras]", "not a known key"),
    "missing key": ("term_months = 6\n", "", "[plan]", "plan.term_months is missing"),
    "no version": ('version = "1"', 'version = "new"', 'version = "new"', "plan.version must be a text like"),
    "no sources": ('sources = ["made up"]', "sources = []", "sources = []", "not empty"),
    "state named twice": ('states = ["CA", "TX"]', 'states = ["CA", "TX", "CA"]', "states =", "twice"),
    "unknown variable": ('rated_by = ["driver_age"]', 'rated_by = ["shoe_size"]', 'rated_by = ["shoe', "does not have"),
    "unknown range": ("[ranges]\n", '[ranges]\nshoe_size = "1..9"\n', "shoe_size", "not a known key"),
    "unused range": ("[ranges]\n", '[ranges]\nincidents = "0..9"\n', "incidents", "no coverage"),
    "bad choice": ('choice = "limit"', 'choice = "both"', 'choice = "both"', '"limit" or "deductible"'),
    "bad option": ('"1000" = 0.8', '"a lot" = 0.8', '"a lot"', "no amount"),
    "no option": ('"500" = 1\n"1000" = 0.8\n', "", "[coverages.collision.options]", "has no option"),
    "discount on nothing": ('["liability", "collision"]', '["windscreen"]', 'coverages = ["wind', "which there is not"),
    "discount that raises": ("factor = 0.95", "factor = 1.05", "factor = 1.05", "a discount is below 1"),
    "discounts that give it away": ("factor = 0.95", "factor = 0.4", "[discounts.paid_in_full]", "0.5 is the least"),
    "table as value": ('title = "Paid in full"', "title = {a = 1}", "title = {", "must be a text"),
    "not TOML": ("term_months = 6", "term_months = = 6", "term_months = = 6", "not TOML"),
    "integer of thousands of digits": ("TX = 0.9", "TX = " + "9" * 5_000, "TX = 9", "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_with_its_line_and_reason(slip: str) -> None:
    """Each of these would let some quote find no factor, two, or an absurd one."""
    old, new, place, reason = SLIPS[slip]
    assert SMALL.count(old) == 1
    text = SMALL.replace(old, new)
    message = refused(text)
    assert reason in message
    assert f"  a.toml:{line_of(text, place)}: " in message


def test_all_slips_are_told_at_once_in_the_order_of_the_lines() -> None:
    """Who mends a plan sees everything that is wrong with it."""
    message = refused(SMALL.replace("TX = 0.9", "TX = 0").replace("term_months = 6", "term_months = 0"))
    assert "has 2 problems" in message
    assert message.index("term_months") < message.index("state.TX")


def test_at_most_twenty_slips_are_listed_and_the_rest_is_counted() -> None:
    """A plan in another format does not fill the screen."""
    text = SMALL + "".join(f"[discounts.x{n}]\n" for n in range(20))
    assert "more." in refused(text)


def test_a_text_of_megabytes_is_refused_before_it_is_parsed() -> None:
    """A log file given by mistake costs nothing."""
    assert "longer than" in refused("#" * 1_000_001)


def test_a_good_plan_is_read_as_it_is_written() -> None:
    """The values are those of the text, as exact decimals, in the text's order."""
    plan = small()
    assert plan.name == "small@1"
    assert list(plan.coverages) == ["liability", "collision"]
    assert str(plan.coverages["collision"].base_rate) == "60.50"
    assert plan.coverages["liability"].bands["driver_age"].find(24)[1] == 2
    assert plan.required == ("liability",)
    assert plan.illustrative


def test_two_texts_of_one_version_are_told_apart() -> None:
    """Somebody who changes a factor and forgets the version is found out by the digest."""
    assert small().digest != parse_plan(SMALL.replace("TX = 0.9", "TX = 0.8"), "small.toml").digest


def test_the_shipped_plan_rates_whatever_a_quote_may_contain() -> None:
    """Each state and choice of the model has a factor, and each bound of a number is inside the plan's range."""
    plan = shipped()
    assert plan.states == set(STATES)
    for name, spec in FIELDS.items():
        if name.startswith("coverage_"):
            assert set(plan.coverages[name.removeprefix("coverage_")].options) == set(spec.allowed)
        if name.startswith("discount_"):
            assert name.removeprefix("discount_") in plan.discounts
    fields = {"licensed_years": "driver_licensed_years", "incidents": "driver_incidents",
              "vehicle_value": "vehicle_value", "annual_mileage": "annual_mileage"}  # fmt: skip
    for variable, field in fields.items():
        assert FIELDS[field].low in plan.ranges[variable]
        assert FIELDS[field].high in plan.ranges[variable]


def test_the_shipped_plan_says_that_its_figures_are_illustrative() -> None:
    """Nobody may take the figures for an insurer's; the method is cited."""
    plan = shipped()
    assert plan.illustrative
    assert "illustrative" in plan.plan_id
    assert any("Basic Ratemaking" in source for source in plan.sources)


@RELAXED
@given(st.data())
def test_any_damage_gives_a_plan_or_a_refusal_with_a_line_of_the_text(data: st.DataObject) -> None:
    """Whatever is cut out of or put into the text, there is a plan, or lines that exist with reasons."""
    at = data.draw(st.integers(0, len(SMALL)))
    cut = data.draw(st.integers(0, 40))
    put = data.draw(st.sampled_from(["", '"', "]", "[", "=", "\n", "1", "nan", "{", "'", "x = 1\n", "\x00", "\ud800"]))
    text = SMALL[:at] + put + SMALL[at + cut :]
    problem = None
    try:
        parse_plan(text, "a.toml")
    except SettingsError as error:
        problem = error
    if problem is not None:
        told = [line for line in problem.message.splitlines() if line.startswith("  a.toml:")]
        assert told
        assert all(1 <= int(line.split(":")[1]) <= text.count("\n") + 1 for line in told)


def test_the_bounds_of_a_factor_are_allowed_themselves() -> None:
    """The bound that a message names is one that passes."""
    for factor in ("0.05", str(FACTOR_MAX)):
        assert parse_plan(SMALL.replace("TX = 0.9", f"TX = {factor}"), "a.toml")
