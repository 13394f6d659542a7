"""Rating is exact, rounds once, does not depend on order, and never fails on what it was told is good."""

from __future__ import annotations

import ast
import json
from dataclasses import fields, is_dataclass, replace
from decimal import ROUND_CEILING, Decimal, getcontext, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quotes.plans import SMALL, facts, shipped, small
from tidewire import quotes
from tidewire.core.errors import InvalidRequest
from tidewire.quotes.bands import Bands
from tidewire.quotes.plan import Plan
from tidewire.quotes.plan_text import parse_plan
from tidewire.quotes.rating import STAGES, Facts, Rated, Rating, faults, plain, rate, shown

# How long one example takes says something about the machine, not about the code.
RELAXED = settings(deadline=None)

SMALL_PLAN = small()
SHIPPED_PLAN = shipped()


def any_facts(plan: Plan) -> st.SearchStrategy[Facts]:
    """Every set of facts that a plan allows, ends of ranges and cents included."""
    measures = {
        name: st.integers(span.low, span.below - 1)
        | st.sampled_from([span.low, span.below - 1])
        | st.decimals(span.low, Decimal(span.below) - Decimal("0.01"), places=2)
        for name, span in plan.ranges.items()
    }
    chosen = {code: st.sampled_from(list(part.options)) for code, part in plan.coverages.items()}
    return st.builds(
        Facts,
        state=st.sampled_from(sorted(plan.states)),
        measures=st.fixed_dictionaries(measures),
        coverages=st.fixed_dictionaries(
            {code: chosen[code] for code in plan.required},
            optional={code: one for code, one in chosen.items() if code not in plan.required},
        ),
        discounts=st.frozensets(st.sampled_from(sorted(plan.discounts))),
    )


def test_a_premium_worked_out_by_hand() -> None:
    """100.00 x 1.50 x 1.2 x 2.0 x 0.95 = 342.00 and 60.50 x 1 x 1.10 x 1.3 x 0.95 = 82.189250, rounded to 82.19."""
    rated = rate(SMALL_PLAN, facts())
    assert [str(part.premium) for part in rated.coverages] == ["342.00", "82.19"]
    assert (str(rated.policy_fee), str(rated.adjustment), str(rated.total)) == ("10.00", "0.00", "434.19")
    steps = [(step.name, step.value, shown(step.running)) for step in rated.coverages[1].steps]
    assert steps == [
        ("base_rate", "", "60.50"),
        ("deductible", "500", "60.50"),
        ("state", "CA", "66.55"),
        ("vehicle_value", "10000..50001", "86.515"),
        ("discount:paid_in_full", "", "82.18925"),
        ("rounding", "", "82.19"),
    ]


def test_a_discount_is_given_on_its_coverages_alone() -> None:
    """Of two coverages the one that the discount does not name keeps its premium: 86.515, rounded to 86.52."""
    text = SMALL.replace('coverages = ["liability", "collision"]', 'coverages = ["liability"]')
    assert text != SMALL
    rated = rate(parse_plan(text, "a.toml"), facts())
    assert [str(part.premium) for part in rated.coverages] == ["342.00", "86.52"]


@pytest.mark.parametrize(("base", "premium"), [("10.01", "5.01"), ("10.02", "5.01"), ("10.03", "5.02")])
def test_a_half_cent_is_rounded_up(base: str, premium: str) -> None:
    """5.005 becomes 5.01 and 5.015 becomes 5.02, also where rounding to even would go down."""
    text = SMALL.replace("base_rate = 60.50", f"base_rate = {base}").replace('"500" = 1', '"500" = 0.5')
    text = text.replace('"10000..50001" = 1.3', '"10000..50001" = 1').replace("CA = 1.10", "CA = 1")
    rated = rate(parse_plan(text, "a.toml"), facts(discounts=frozenset()))
    assert str(rated.coverages[1].premium) == premium


def test_a_small_total_is_raised_to_the_minimum_and_the_difference_is_told() -> None:
    """The parts add up to the total also where it was raised."""
    plan = parse_plan(SMALL.replace("minimum_premium = 50.00", "minimum_premium = 999.99"), "a.toml")
    rated = rate(plan, facts())
    assert (str(rated.adjustment), str(rated.total)) == ("565.80", "999.99")


@RELAXED
@given(any_facts(SHIPPED_PLAN))
def test_whatever_is_allowed_is_rated_and_the_parts_are_the_total(given_facts: Facts) -> None:
    """No allowed combination fails; each coverage is within half a cent of the exact product; cents add up."""
    assert faults(SHIPPED_PLAN, given_facts) == ()
    rated = rate(SHIPPED_PLAN, given_facts)
    assert rated.total == sum(part.premium for part in rated.coverages) + rated.policy_fee + rated.adjustment
    assert rated.total >= SHIPPED_PLAN.minimum_premium
    assert [part.code for part in rated.coverages] == [c for c in SHIPPED_PLAN.coverages if c in given_facts.coverages]
    for part in rated.coverages:
        exact = Fraction(part.steps[0].running)
        for step in part.steps[1:-1]:
            assert step.factor is not None
            exact *= Fraction(step.factor)
            assert Fraction(step.running) == exact
        assert abs(Fraction(part.premium) - exact) <= Fraction(1, 200)
        assert part.premium.as_tuple().exponent == -2


@RELAXED
@given(any_facts(SHIPPED_PLAN), st.randoms(use_true_random=False))
def test_the_order_in_which_facts_and_factors_come_does_not_matter(given_facts: Facts, random: object) -> None:
    """A plan whose tables are written in another order gives the same premium for facts given in another order."""

    def shuffled(table: object) -> dict[str, object]:
        items = list(table.items())  # type: ignore[attr-defined]
        random.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    coverages = {
        code: replace(part, bands=shuffled(part.bands), options=shuffled(part.options), states=shuffled(part.states))
        for code, part in shuffled(SHIPPED_PLAN.coverages).items()  # type: ignore[type-var]
    }
    plan = replace(SHIPPED_PLAN, coverages=coverages, discounts=shuffled(SHIPPED_PLAN.discounts))
    other = replace(given_facts, measures=shuffled(given_facts.measures), coverages=shuffled(given_facts.coverages))
    premiums = {part.code: part.premium for part in rate(SHIPPED_PLAN, given_facts).coverages}
    rated = rate(plan, other)
    assert {part.code: part.premium for part in rated.coverages} == premiums
    assert rated.total == rate(SHIPPED_PLAN, given_facts).total


def _rises(bands: Bands) -> bool:
    return list(bands.factors) == sorted(bands.factors)


@RELAXED
@given(any_facts(SHIPPED_PLAN), st.data())
def test_where_the_plan_rises_with_a_variable_the_premium_never_falls(given_facts: Facts, data: st.DataObject) -> None:
    """A dearer vehicle, more incidents or more miles never cost less, because the plan's factors do not fall."""
    rising = [
        name
        for name in SHIPPED_PLAN.ranges
        if all(_rises(part.bands[name]) for part in SHIPPED_PLAN.coverages.values() if name in part.bands)
    ]
    assert {"vehicle_value", "incidents", "annual_mileage"} <= set(rising)
    name = data.draw(st.sampled_from(rising))
    value, top = given_facts.measures[name], SHIPPED_PLAN.ranges[name].below - 1
    # A value with cents may lie above the last whole number of the range.
    more = data.draw(st.integers(int(value) + 1, top) if value < top else st.just(value))
    higher = replace(given_facts, measures={**given_facts.measures, name: more})
    low, high = rate(SHIPPED_PLAN, given_facts), rate(SHIPPED_PLAN, higher)
    assert high.total >= low.total
    assert all(b.premium >= a.premium for a, b in zip(low.coverages, high.coverages, strict=True))


@RELAXED
@given(any_facts(SHIPPED_PLAN), st.data())
def test_a_higher_deductible_or_a_discount_never_costs_more_and_a_higher_limit_never_less(
    given_facts: Facts, data: st.DataObject
) -> None:
    """What the shipped plan promises customers about their choices."""
    code = data.draw(st.sampled_from(sorted(given_facts.coverages)))
    part = SHIPPED_PLAN.coverages[code]
    options = list(part.options)
    first, second = sorted(data.draw(st.tuples(st.sampled_from(options), st.sampled_from(options))), key=options.index)
    low, high = (
        rate(SHIPPED_PLAN, replace(given_facts, coverages={**given_facts.coverages, code: option}))
        for option in (first, second)
    )
    assert (low.total <= high.total) if part.choice == "limit" else (low.total >= high.total)
    without = rate(SHIPPED_PLAN, replace(given_facts, discounts=frozenset()))
    assert rate(SHIPPED_PLAN, given_facts).total <= without.total


def _leaves(value: object) -> list[object]:
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in _leaves(getattr(value, field.name))]
    if isinstance(value, dict):
        return [leaf for key, one in value.items() for leaf in [key, *_leaves(one)]]
    if isinstance(value, (tuple, list, frozenset)):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value]


@RELAXED
@given(any_facts(SHIPPED_PLAN))
def test_no_number_is_a_float_anywhere(given_facts: Facts) -> None:
    """Neither in the plan, nor in a premium, nor in what is sent: amounts are texts of the same decimals."""
    rated = rate(SHIPPED_PLAN, given_facts)
    for leaf in [*_leaves(SHIPPED_PLAN), *_leaves(rated), *_leaves(plain(rated))]:
        assert not isinstance(leaf, float)
    sent = json.loads(json.dumps(plain(rated)))
    assert Decimal(sent["total"]) == rated.total
    for part, told in zip(rated.coverages, sent["coverages"], strict=True):
        assert [Decimal(step["running"]) for step in told["steps"]] == [step.running for step in part.steps]


def test_no_module_of_rating_has_a_float_in_its_text() -> None:
    """Neither a literal such as 0.5 nor the name ``float``."""
    folder = Path(quotes.__file__).parent
    for name in ("bands", "plan", "plan_text", "rating", "toml_table"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), (name, node.lineno)
            assert not (isinstance(node, ast.Name) and node.id == "float"), (name, node.lineno)
            assert not (isinstance(node, ast.Div)), name


def test_what_others_did_to_the_decimal_context_does_not_change_a_premium() -> None:
    """A library that sets three digits and another rounding for its thread changes nothing here, nor we for it."""
    expected = rate(SMALL_PLAN, facts())
    with localcontext() as context:
        context.prec, context.rounding = 3, ROUND_CEILING
        assert rate(SMALL_PLAN, facts()) == expected
        assert getcontext().prec == 3


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"state": ""}, "state"),
        ({"state": "ZZ"}, "state"),
        ({"state": "ca"}, "state"),
        ({"measures": {"vehicle_value": 900}}, "driver_age"),
        ({"measures": {"driver_age": 20}}, "vehicle_value"),
        *[({"measures": {"driver_age": age, "vehicle_value": 900}}, "driver_age")
          for age in (-1, 15, 100, 10**40, True, 20.0, "20", Decimal("NaN"), Decimal("-Infinity"))],
        *[({"measures": {"driver_age": 20, "vehicle_value": value}}, "vehicle_value")
          for value in (-1, 0, Decimal("499.99"), 50_001, 10**40, Decimal("1E+999999"), Decimal("sNaN"),
                        Decimal("NaN"), Decimal("Infinity"), float("nan"), 1e300)],
        ({"coverages": {"collision": "500"}}, "coverages.liability"),
        ({"coverages": {"liability": "1/2/3"}}, "coverages.liability"),
        ({"coverages": {"liability": "50/100/50", "flood": "500"}}, "coverages.flood"),
        ({"discounts": frozenset({"friend_of_the_house"})}, "discounts.friend_of_the_house"),
    ],
)  # fmt: skip
def test_facts_that_cannot_be_rated_are_refused_by_field(changed: dict[str, object], field: str) -> None:
    """Negative ages, values that are no numbers or huge, unknown states: named, with a reason, and never rated."""
    wrong = facts(**changed)
    assert [fault.field for fault in faults(SMALL_PLAN, wrong)] == [field]
    with pytest.raises(InvalidRequest) as caught:
        rate(SMALL_PLAN, wrong)
    assert caught.value.code == "facts_incomplete"
    assert caught.value.details is not None
    assert list(caught.value.details["fields"]) == [field]  # type: ignore[arg-type]
    assert field in caught.value.message


def test_every_fault_is_told_at_once() -> None:
    """Who completes a quote sees everything that is missing."""
    found = faults(SMALL_PLAN, Facts("", {}, {"liability": "x", "collision": "500"}))
    assert [fault.field for fault in found] == ["state", "driver_age", "vehicle_value", "coverages.liability"]


def test_what_no_chosen_coverage_depends_on_may_be_missing() -> None:
    """Somebody who insures liability alone need not know what the vehicle is worth."""
    only = facts(coverages={"liability": "25/50/25"}, measures={"driver_age": 30})
    assert str(rate(SMALL_PLAN, only).total) == "124.00"


def test_a_rating_goes_through_its_stages_in_order_and_ends() -> None:
    """Each stage is done once; the result is there after the last and not before."""
    rating, seen = Rating(SMALL_PLAN, facts()), []
    while stage := rating.advance():
        seen.append((stage, rating.result is not None))
    assert [stage for stage, _ in seen] == list(STAGES)
    assert [there for _, there in seen] == [False] * 4 + [True]
    assert rating.advance() is None
    assert isinstance(rating.result, Rated)
