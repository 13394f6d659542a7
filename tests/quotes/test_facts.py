"""What rating takes from a quote, and what a quote keeps of a premium."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.quotes.plans import shipped
from tidewire.core.errors import InvalidRequest
from tidewire.quotes.facts import age_on, facts_of, premium_of, read_facts
from tidewire.quotes.model import FIELDS, FieldSpec, Premium, read_value
from tidewire.quotes.rating import rate
from tidewire.store.quote_records import FieldState, Quote
from tidewire.store.records import JsonValue

# How long one example takes says something about the machine, not about the code.
RELAXED = settings(deadline=None)

PLAN = shipped()
TODAY = date(2026, 3, 1)
WHOLE: dict[str, JsonValue] = {
    "customer_name": "Ada",
    "state": "CA",
    "product": "personal_auto",
    "effective_date": "2026-03-15",
    "coverage_liability": "50/100/50",
    "coverage_collision": "500",
    "discount_paid_in_full": True,
    "discount_multi_policy": False,
    "vehicle_year": 2021,
    "vehicle_value": "25000.00",
    "annual_mileage": 12_000,
    "driver_birth_date": "1990-03-16",
    "driver_licensed_years": 10,
    "driver_incidents": 1,
}


def quote_of(values: Mapping[str, JsonValue]) -> Quote:
    """A quote with these fields."""
    states = {name: FieldState(value, 1, 1, "ada", 0.0) for name, value in values.items()}
    return Quote("q", "draft", 7, states, None, 0.0, "ada", 0.0, None)


def test_each_fact_comes_from_its_field() -> None:
    """Ages are whole years on the day on which the policy begins, here a day before the birthday."""
    facts = facts_of(PLAN, quote_of(WHOLE))
    assert facts.state == "CA"
    assert facts.measures == {
        "driver_age": 35,
        "licensed_years": 10,
        "incidents": 1,
        "vehicle_value": Decimal("25000.00"),
        "vehicle_age": 5,
        "annual_mileage": 12_000,
    }
    assert facts.coverages == {"liability": "50/100/50", "collision": "500"}
    assert facts.discounts == {"paid_in_full"}


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [("2000-02-29", "2018-02-28", 17), ("2000-02-29", "2018-03-01", 18), ("2000-06-01", "2018-06-01", 18)],
)
def test_a_birthday_counts_from_its_own_day(born: str, day: str, age: int) -> None:
    """Who was born on 29 February is a year older on 1 March."""
    assert age_on(date.fromisoformat(day), date.fromisoformat(born)) == age


def test_a_vehicle_of_next_years_model_is_new() -> None:
    """Its age is 0, not less."""
    assert read_facts(quote_of({**WHOLE, "vehicle_year": 2027})).measures["vehicle_age"] == 0


@pytest.mark.parametrize("field", [name for name in WHOLE if name not in {"customer_name", "product"}])
def test_a_missing_field_is_named_as_the_quote_calls_it(field: str) -> None:
    """Whoever reads the refusal finds the field on the page; what rating does without is not asked for."""
    quote = quote_of({**WHOLE, field: None})
    if field in {"coverage_collision", "discount_paid_in_full", "discount_multi_policy"}:
        assert rate(PLAN, facts_of(PLAN, quote)).total > 0
        return
    with pytest.raises(InvalidRequest) as caught:
        facts_of(PLAN, quote)
    assert caught.value.details is not None
    assert field in caught.value.details["fields"]  # type: ignore[operator]


def test_all_that_is_missing_is_named_at_once() -> None:
    """An empty quote says everything that it needs."""
    with pytest.raises(InvalidRequest) as caught:
        facts_of(PLAN, quote_of({"coverage_collision": "500"}))
    assert caught.value.details is not None
    assert set(caught.value.details["fields"]) == {  # type: ignore[arg-type]
        "effective_date", "state", "driver_birth_date", "driver_licensed_years", "driver_incidents", "vehicle_value",
        "vehicle_year", "annual_mileage", "coverage_liability",
    }  # fmt: skip


def test_more_years_licensed_than_lived_are_refused() -> None:
    """Two fields that are good one by one may still contradict each other."""
    with pytest.raises(InvalidRequest, match="driver_licensed_years: 30 years are more than a driver of 35 can have"):
        facts_of(PLAN, quote_of({**WHOLE, "driver_licensed_years": 30}))


def test_a_premium_is_kept_with_all_its_steps_and_its_plan() -> None:
    """What a quote keeps names plan, version, calculation and every amount, and survives JSON unchanged."""
    rated = rate(PLAN, facts_of(PLAN, quote_of(WHOLE)))
    premium = premium_of(rated, calculation_id="k-1", version=7, at=1.5)
    assert premium.amount == str(rated.total)
    assert premium.plan == f"{PLAN.name}+{PLAN.digest}"
    assert (premium.based_on_version, premium.calculation_id, premium.term_months) == (7, "k-1", 6)
    assert msgspec.json.decode(msgspec.json.encode(premium), type=Premium) == premium
    lines = {line.code: line for line in premium.breakdown}
    parts = ["coverage_liability", "coverage_collision", "policy_fee"]
    assert sum(Decimal(lines[code].amount) for code in parts) == rated.total
    assert lines["coverage_liability"].detail == "50/100/50"
    assert lines["coverage_collision.driver_age"].detail == "30..50"
    assert lines["coverage_collision.discount:paid_in_full"].label == "Pays in full"
    assert len(lines) == len(premium.breakdown)


def _any(spec: FieldSpec) -> st.SearchStrategy[JsonValue]:
    if spec.kind == "choice":
        return st.sampled_from(spec.allowed)
    if spec.kind == "boolean":
        return st.booleans()
    if spec.name == "vehicle_year":
        return st.integers(spec.low, TODAY.year + 1)
    if spec.kind == "integer":
        return st.integers(spec.low, spec.high) | st.sampled_from([spec.low, spec.high])
    if spec.kind == "money":
        return st.decimals(spec.low, spec.high, places=2).map(str) | st.sampled_from([str(spec.low), str(spec.high)])
    if spec.kind == "date":
        days = st.integers(-spec.years * 366 if spec.past else 0, spec.years * 366 if spec.future else 0)
        return days.map(lambda days: (TODAY + timedelta(days=days)).isoformat())
    return st.just("ada@example.test")


_NEEDED = [s for s in FIELDS.values() if s.needed or s.name.startswith(("coverage_", "discount_"))]


@RELAXED
@given(st.fixed_dictionaries({spec.name: _any(spec) for spec in _NEEDED}))
def test_every_quote_that_the_model_accepts_is_rated(raw: dict[str, JsonValue]) -> None:
    """Whatever passes the checks of the fields has a premium, but for a driver licensed before they may drive."""
    values: dict[str, JsonValue] = {}
    for name, value in raw.items():
        try:
            values[name] = read_value(FIELDS[name], value, TODAY)
        except ValueError:
            assert name == "driver_birth_date"
            values[name] = "1980-01-01"
    quote = quote_of(values)
    facts = read_facts(quote)
    age, licensed = facts.measures["driver_age"], facts.measures["licensed_years"]
    if licensed > max(0, age - 14):
        with pytest.raises(InvalidRequest, match="driver_licensed_years"):
            facts_of(PLAN, quote)
    else:
        at = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
        assert Decimal(premium_of(rate(PLAN, facts_of(PLAN, quote)), calculation_id="k", version=1, at=at).amount) > 0
