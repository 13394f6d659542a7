"""What each field takes, and what it refuses with a reason."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import InvalidFields
from tidewire.quotes.model import FIELDS, read_fields, read_value

TODAY = date(2026, 3, 1)

GOOD: list[tuple[str, str, Any]] = [
    ("customer_name", '"  Ada  "', "Ada"),
    ("customer_name", '"A\\u030a"', "Å"),
    ("customer_email", '"ada@example.org"', "ada@example.org"),
    ("notes", '"two\\nlines"', "two\nlines"),
    ("notes", "null", None),
    ("state", '"CA"', "CA"),
    ("effective_date", '"2026-03-01"', "2026-03-01"),
    ("driver_birth_date", '"1936-03-01"', "1936-03-01"),
    ("vehicle_year", "2027", 2027),
    ("vehicle_value", "25000", "25000.00"),
    ("vehicle_value", "25000.5", "25000.50"),
    ("vehicle_value", '"25000.55"', "25000.55"),
    ("vehicle_value", "0.1e4", "1000.00"),
    ("annual_mileage", "0", 0),
    ("coverage_collision", '"500"', "500"),
    ("discount_multi_policy", "false", False),
]
BAD: list[tuple[str, str]] = [
    ("customer_name", "null"),
    ("customer_name", '""'),
    ("customer_name", '"   "'),
    ("customer_name", "7"),
    ("customer_name", '"a\\u0000b"'),
    ("customer_name", '"a\\nb"'),
    ("customer_name", f'"{"x" * 121}"'),
    ("customer_name", f'"{"x" * 1_000_000}"'),
    ("notes", f'"{"x" * 2_001}"'),
    ("customer_email", '"ada"'),
    ("customer_email", '"a b@example.org"'),
    ("state", '"XX"'),
    ("state", '"ca"'),
    ("state", '"California"'),
    ("state", "null"),
    ("state", '["CA"]'),
    ("product", '"boat"'),
    ("effective_date", '"2026-02-28"'),
    ("effective_date", '"2027-03-03"'),
    ("effective_date", '"2026-02-30"'),
    ("effective_date", '"20260301"'),
    ("effective_date", '"٢٠٢٦-03-01"'),
    ("effective_date", "20260301"),
    ("driver_birth_date", '"2026-03-02"'),
    ("driver_birth_date", '"2020-03-01"'),
    ("driver_birth_date", '"1800-01-01"'),
    ("vehicle_year", "2028"),
    ("vehicle_year", "1949"),
    ("vehicle_year", "true"),
    ("vehicle_year", "2020.0"),
    ("vehicle_year", '"2020"'),
    ("vehicle_year", "1" + "0" * 400),
    ("vehicle_value", "499.99"),
    ("vehicle_value", "1000000.01"),
    ("vehicle_value", "-25000"),
    ("vehicle_value", "1000.001"),
    ("vehicle_value", "1e400"),
    ("vehicle_value", "1e999999999"),
    ("vehicle_value", "1e-999999999"),
    ("vehicle_value", "1" + "0" * 5_000),
    ("vehicle_value", '"NaN"'),
    ("vehicle_value", '"Infinity"'),
    ("vehicle_value", '"1e3"'),
    ("vehicle_value", '" 1000"'),
    ("vehicle_value", '"١٠٠٠"'),
    ("vehicle_value", "NaN"),
    ("vehicle_value", "Infinity"),
    ("vehicle_value", "true"),
    ("annual_mileage", "-1"),
    ("driver_incidents", "51"),
    ("coverage_liability", '"1/2/3"'),
    ("coverage_collision", "500"),
    ("discount_multi_policy", '"yes"'),
    ("discount_multi_policy", "1"),
    ("premium", '"1.00"'),
    ("status", '"bound"'),
    ("nothing", "1"),
]


@pytest.mark.parametrize(("name", "sent", "wanted"), GOOD)
def test_good_values_get_their_normal_form(name: str, sent: str, wanted: Any) -> None:
    """What a person may mean is understood, and always kept in the same form, which is read as itself."""
    read = read_fields({name: msgspec.Raw(sent.encode())}, TODAY)[name]
    assert (read, type(read)) == (wanted, type(wanted))
    assert read_value(FIELDS[name], read, TODAY) == read


@pytest.mark.parametrize(("name", "sent"), BAD, ids=lambda text: text[:30])
def test_bad_values_are_refused_with_the_reason(name: str, sent: str) -> None:
    """Each is refused with a sentence about the field that does not repeat the value."""
    with pytest.raises(InvalidFields) as refused:
        read_fields({name: msgspec.Raw(sent.encode()), "notes2": msgspec.Raw(b"1")}, TODAY)
    assert set(refused.value.problems) == {name, "notes2"}
    reason = refused.value.problems[name]
    assert reason.endswith(".")
    assert len(reason) < 120
    assert refused.value.required_action
    assert refused.value.will_not


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.decimals() | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@given(name=st.sampled_from(sorted(FIELDS)), value=JSON, today=st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_any_value_is_read_or_refused(name: str, value: Any, today: date) -> None:
    """Nothing else happens, and what is read is plain JSON that is read as itself."""
    try:
        read = read_value(FIELDS[name], value, today)
    except ValueError as exc:
        reason = str(exc)
    else:
        reason = ""
    if reason:
        assert reason.endswith(".")
        return
    assert json.loads(json.dumps(read)) == read
    assert read_value(FIELDS[name], read, today) == read


@given(cents=st.integers(50_000, 100_000_000))
def test_money_is_exact(cents: int) -> None:
    """Every amount comes back to the cent, sent as text or as a number."""
    amount = Decimal(cents) / 100
    for sent in (f'"{amount:.2f}"', f"{amount}", f"{amount:.2f}"):
        read = read_fields({"vehicle_value": msgspec.Raw(sent.encode())}, TODAY)["vehicle_value"]
        assert Decimal(str(read)) == amount
