"""What a quote consists of: every field with its kind, bounds and label, and how a value is read. Pure.

A value comes as JSON and is kept in one normal form: text trimmed, money as text with two decimals, dates as ISO 8601.
What cannot be read is refused with the reason; nothing is rounded, cut or guessed. It must not know who edits.
Source: contract.md section 5, features.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from tidewire.core.errors import InvalidFields
from tidewire.store.quote_records import Quote
from tidewire.store.records import JsonValue

Kind = Literal["text", "long_text", "email", "choice", "integer", "money", "date", "boolean"]
Group = Literal["customer", "policy", "coverages", "vehicle", "driver"]

# The fifty states and the District of Columbia (US Postal Service, Publication 28, appendix B).
_CODES = (
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR "
    "PA RI SC SD TN TX UT VT VA WA WV WI WY"
)
STATES = tuple(_CODES.split())
PRODUCTS = ("personal_auto",)
DEDUCTIBLES = ("250", "500", "1000", "2500")
# Longer texts are no notes but documents.
LONG_TEXT_MAX = 2_000
# More digits than any bound has; refused before they are computed with.
MAX_DIGITS = 15
# Who may drive at all, in years; younger ones are refused by law everywhere.
DRIVER_AGE_MIN = 14


class Status(enum.StrEnum):
    """What has become of a quote; the transitions are in ``editing``."""

    DRAFT = "draft"
    QUOTED = "quoted"
    BOUND = "bound"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What a field may contain.

    Attributes:
        low, high: Bounds of numbers, inclusive; of texts, their length.
        allowed: Values of a choice.
        required: It cannot be emptied, and a quote cannot be made without it.
        rated: It changes the premium, so that changing it makes a quoted quote a draft again.
        needed: Rating needs it (more may be needed, as the plan says).
        past, future: Whether a date may lie before, after the present day; both are bounded by ``years``.
    """

    name: str
    kind: Kind
    label: str
    group: Group
    low: int = 0
    high: int = 0
    allowed: tuple[str, ...] = ()
    required: bool = False
    rated: bool = True
    needed: bool = False
    past: bool = True
    future: bool = True
    years: int = 130


def _text(name: str, label: str, group: Group, high: int, *, required: bool = False) -> FieldSpec:
    return FieldSpec(name, "text", label, group, low=1, high=high, required=required, rated=False)


def _choice(name: str, label: str, group: Group, allowed: tuple[str, ...], *, required: bool = False) -> FieldSpec:
    return FieldSpec(name, "choice", label, group, allowed=allowed, required=required, needed=required)


def _count(name: str, label: str, group: Group, low: int, high: int) -> FieldSpec:
    return FieldSpec(name, "integer", label, group, low=low, high=high, needed=True)


def _yes_no(name: str, label: str) -> FieldSpec:
    return FieldSpec(name, "boolean", label, "coverages")


_LIABILITY = ("25/50/25", "50/100/50", "100/300/100", "250/500/250")
_UNINSURED = ("25/50", "50/100", "100/300", "250/500")
_ALL = (
    _text("customer_name", "Customer", "customer", 120, required=True),
    FieldSpec("customer_email", "email", "E-mail", "customer", low=3, high=254, rated=False),
    _choice("state", "State", "policy", STATES, required=True),
    _choice("product", "Product", "policy", PRODUCTS, required=True),
    # Rated: it decides how old driver and vehicle are.
    FieldSpec("effective_date", "date", "Begins on", "policy", needed=True, past=False, years=1),
    FieldSpec("notes", "long_text", "Notes", "policy", low=1, high=LONG_TEXT_MAX, rated=False),
    _choice("coverage_liability", "Liability limits (thousands)", "coverages", _LIABILITY),
    _choice("coverage_uninsured_motorist", "Uninsured motorist limits (thousands)", "coverages", _UNINSURED),
    _choice("coverage_medical", "Medical payments limit", "coverages", ("1000", "5000", "10000")),
    _choice("coverage_collision", "Collision deductible", "coverages", DEDUCTIBLES),
    _choice("coverage_comprehensive", "Comprehensive deductible", "coverages", DEDUCTIBLES),
    _yes_no("discount_multi_policy", "Has another policy with us"),
    _yes_no("discount_paid_in_full", "Pays in full"),
    _yes_no("discount_defensive_driver", "Defensive driving course"),
    _text("vehicle_make", "Make", "vehicle", 60),
    _text("vehicle_model", "Model", "vehicle", 60),
    _count("vehicle_year", "Model year", "vehicle", 1950, 2100),
    FieldSpec("vehicle_value", "money", "Value (USD)", "vehicle", low=500, high=1_000_000, needed=True),
    _count("annual_mileage", "Miles a year", "vehicle", 0, 200_000),
    _text("driver_name", "Driver", "driver", 120),
    FieldSpec("driver_birth_date", "date", "Born on", "driver", needed=True, future=False, years=110),
    _count("driver_licensed_years", "Years licensed", "driver", 0, 95),
    _count("driver_incidents", "Accidents and violations in three years", "driver", 0, 50),
)
FIELDS: Mapping[str, FieldSpec] = {spec.name: spec for spec in _ALL}
COVERAGES = tuple(spec.name for spec in _ALL if spec.name.startswith("coverage_"))

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONEY = re.compile(r"\d{1,13}(\.\d{1,2})?")


class PremiumLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a calculation. ``amount``: money as text; ``factor``: what the amount before was multiplied by."""

    code: str
    label: str
    amount: str = ""
    factor: str = ""
    detail: str = ""


class Premium(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rating said.

    Attributes:
        amount: Of the whole term, money as text with two decimals.
        plan: Name and version of the rating plan.
        based_on_version: The quote's version that was rated.
        at: When, Unix seconds.
    """

    amount: str
    currency: str
    term_months: int
    plan: str
    calculation_id: str
    based_on_version: int
    at: float
    breakdown: tuple[PremiumLine, ...] = ()


def premium_of(quote: Quote) -> Premium | None:
    """Return a quote's premium, if it has one."""
    return None if quote.premium is None else msgspec.convert(quote.premium, Premium)


def missing_for_rating(quote: Quote) -> list[str]:
    """Return the fields without which no premium can be calculated."""
    missing = [spec.name for spec in _ALL if spec.needed and quote.value(spec.name) is None]
    covered = any(quote.value(name) is not None for name in COVERAGES)
    return missing if covered else [*missing, COVERAGES[0]]


# ---- reading values --------------------------------------------------------------------------------------------------


class Unfit(ValueError):
    """A value that a field cannot have.

    Args:
        text: Why, for people: a sentence without the value.
        code: Why, for programs.
        values: What else the sentence names.
    """

    def __init__(self, text: str, code: str, **values: str | int) -> None:
        super().__init__(text)
        self.reason: Mapping[str, str | int] = {"code": code, **values}


def unfit_fields(problems: Mapping[str, Unfit]) -> InvalidFields:
    """Return the error that names all the fields and why."""
    return InvalidFields(
        {name: str(why) for name, why in problems.items()}, {name: why.reason for name, why in problems.items()}
    )


# Numbers with a decimal point keep every digit; NaN and Infinity are not JSON and end here.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def read_fields(raw: Mapping[str, msgspec.Raw], today: date) -> dict[str, JsonValue]:
    """Return field -> normal value of what a client sent.

    Args:
        today: The present day, UTC; which dates are past depends on it.

    Raises:
        InvalidFields: A field is unknown or its value cannot be; all are named.
    """
    values: dict[str, JsonValue] = {}
    problems: dict[str, Unfit] = {}
    for name, encoded in raw.items():
        spec = FIELDS.get(name)
        if spec is None:
            problems[name[:64]] = Unfit("There is no such field.", "unknown_field")
            continue
        try:
            values[name] = read_value(spec, _decode(encoded), today)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            problems[name] = Unfit("This is not JSON.", "not_json")
        except Unfit as exc:
            problems[name] = exc
    if problems:
        raise unfit_fields(dict(list(problems.items())[:30]))
    return values


def read_value(spec: FieldSpec, value: Any, today: date) -> JsonValue:
    """Return a value in its normal form; None empties the field.

    Args:
        value: Decoded JSON, numbers with a decimal point as Decimal.

    Raises:
        Unfit: It cannot be.
    """
    if value is None:
        if spec.required:
            raise Unfit("This cannot be empty.", "empty")
        return None
    read = _READERS[spec.kind]
    return read(spec, value, today)


def _read_text(spec: FieldSpec, value: Any, _: date) -> str:
    if not isinstance(value, str):
        raise Unfit("This must be text.", "no_text")
    length = Unfit(f"This must have {spec.low} to {spec.high} characters.", "length", low=spec.low, high=spec.high)
    if len(value) > 4 * LONG_TEXT_MAX:
        raise length
    # Normalised, so that two people who type the same do not see a conflict.
    text = unicodedata.normalize("NFC", value).strip()
    if not spec.low <= len(text) <= spec.high:
        raise length
    allowed = "\n\t" if spec.kind == "long_text" else ""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") and char not in allowed for char in text):
        raise Unfit("This has characters that cannot be shown.", "characters")
    return text


def _read_email(spec: FieldSpec, value: Any, today: date) -> str:
    text = _read_text(spec, value, today)
    if _EMAIL.fullmatch(text) is None:
        raise Unfit("This is not an e-mail address.", "no_email")
    return text


def _read_choice(spec: FieldSpec, value: Any, _: date) -> str:
    if not isinstance(value, str) or value not in spec.allowed:
        if len(spec.allowed) > 10:
            raise Unfit("This must be the two-letter code of a US state.", "no_state")
        allowed = ", ".join(spec.allowed)
        raise Unfit(f"This must be one of {allowed}.", "not_allowed", allowed=allowed)
    return value


def _read_integer(spec: FieldSpec, value: Any, today: date) -> int:
    # A boolean is an int in Python, and 1.0 is not what somebody types who means 1.
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit("This must be a whole number.", "no_integer")
    high = today.year + 1 if spec.name == "vehicle_year" else spec.high
    if not spec.low <= value <= high:
        raise Unfit(f"This must be from {spec.low} to {high}.", "range", low=spec.low, high=high)
    return value


def _read_money(spec: FieldSpec, value: Any, _: date) -> str:
    unfit = Unfit(
        f'This must be an amount from {spec.low} to {spec.high} with at most two decimals, such as "25000.00".',
        "no_amount",
        low=spec.low,
        high=spec.high,
    )
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise unfit
    if isinstance(value, Decimal) and (len(value.as_tuple().digits) > MAX_DIGITS or not -6 < value.adjusted() < 15):
        raise unfit
    if isinstance(value, int) and not 0 <= value <= spec.high:
        raise unfit
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)[: MAX_DIGITS + 5]
    if not text.isascii() or _MONEY.fullmatch(text) is None or not spec.low <= Decimal(text) <= spec.high:
        raise unfit
    return f"{Decimal(text):.2f}"


def _read_date(spec: FieldSpec, value: Any, today: date) -> str:
    if not isinstance(value, str) or not value.isascii() or _ISO_DATE.fullmatch(value) is None:
        raise Unfit("This must be a date, such as 2026-03-01.", "no_date")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise Unfit("There is no such day.", "no_day") from None
    if day < today and not spec.past:
        raise Unfit("This must not be in the past.", "past")
    if day > today and not spec.future:
        raise Unfit("This must not be in the future.", "future")
    if abs((day - today).days) > spec.years * 366:
        years = "year" if spec.years == 1 else "years"
        raise Unfit(f"This must be within {spec.years} {years}.", "too_far", years=spec.years)
    if spec.name == "driver_birth_date" and day > today - timedelta(days=DRIVER_AGE_MIN * 365):
        raise Unfit(f"A driver is at least {DRIVER_AGE_MIN} years old.", "too_young", years=DRIVER_AGE_MIN)
    return value


def _read_boolean(_spec: FieldSpec, value: Any, _: date) -> bool:
    if not isinstance(value, bool):
        raise Unfit("This must be true or false.", "no_boolean")
    return value


_READERS: dict[Kind, Callable[[FieldSpec, Any, date], JsonValue]] = {
    "text": _read_text,
    "long_text": _read_text,
    "email": _read_email,
    "choice": _read_choice,
    "integer": _read_integer,
    "money": _read_money,
    "date": _read_date,
    "boolean": _read_boolean,
}
