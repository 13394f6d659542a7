"""What rating needs of a quote, and a premium as a quote keeps it: the one place that knows both. Pure.

The mapping: ages are whole years on the day on which the policy begins; a vehicle of next year's model is new (age 0);
``coverage_X`` and ``discount_X`` are the plan's coverage and discount ``X``. It must not know who asks, or what for.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from tidewire.core.errors import InvalidRequest
from tidewire.quotes.model import COVERAGES, DRIVER_AGE_MIN, FIELDS, Premium, PremiumLine
from tidewire.quotes.plan import STATE, VARIABLES, Plan
from tidewire.quotes.rating import Facts, Fault, Rated, faults, refusal, shown
from tidewire.store.quote_records import Quote

COVERAGE = "coverage_"
DISCOUNT = "discount_"
DISCOUNTS = tuple(name for name in FIELDS if name.startswith(DISCOUNT))

# Variable -> the quote's field that decides it.
_FIELD_OF = {
    "driver_age": "driver_birth_date",
    "licensed_years": "driver_licensed_years",
    "incidents": "driver_incidents",
    "vehicle_value": "vehicle_value",
    "vehicle_age": "vehicle_year",
    "annual_mileage": "annual_mileage",
}
_LABELS = {
    "base_rate": "Base rate",
    "limit": "Limit",
    "deductible": "Deductible",
    STATE: "State",
    "driver_age": "Driver's age",
    "licensed_years": "Years licensed",
    "incidents": "Accidents and violations",
    "vehicle_value": "Value of the vehicle",
    "vehicle_age": "Age of the vehicle",
    "annual_mileage": "Miles a year",
    "rounding": "Rounded to cents",
    **{f"discount:{name.removeprefix(DISCOUNT)}": FIELDS[name].label for name in DISCOUNTS},
}


def facts_of(plan: Plan, quote: Quote) -> Facts:
    """Return what ``plan`` rates of a quote.

    Raises:
        InvalidRequest: ``facts_incomplete``: fields are missing or cannot be rated; all are listed, by field.
    """
    facts = read_facts(quote)
    found = [*_date_faults(quote), *_experience_faults(facts)]
    known = {fault.field for fault in found}
    found += [fault for fault in map(_by_field, faults(plan, facts)) if fault.field not in known]
    if found:
        raise refusal(tuple(found))
    return facts


def read_facts(quote: Quote) -> Facts:
    """Return a quote's facts as far as they are there, unchecked."""
    measures = {name: value for name in VARIABLES if (value := _measure(quote, name)) is not None}
    chosen = {name: quote.value(name) for name in COVERAGES}
    options = {name.removeprefix(COVERAGE): value for name, value in chosen.items() if isinstance(value, str)}
    discounts = frozenset(name.removeprefix(DISCOUNT) for name in DISCOUNTS if quote.value(name) is True)
    state = quote.value(STATE)
    return Facts(state if isinstance(state, str) else "", measures, options, discounts)


def premium_of(rated: Rated, *, calculation_id: str, version: int, at: float) -> Premium:
    """Return a premium as a quote keeps it and clients get it; a breakdown's amounts are exact until the rounding."""
    lines: list[PremiumLine] = []
    for part in rated.coverages:
        code = f"{COVERAGE}{part.code}"
        for step in part.steps:
            label = _LABELS.get(step.name, step.name)
            factor = "" if step.factor is None else shown(step.factor)
            lines.append(PremiumLine(f"{code}.{step.name}", label, shown(step.running), factor, step.value))
        lines.append(PremiumLine(code, part.title, str(part.premium), detail=part.option))
    lines.append(PremiumLine("policy_fee", "Policy fee", str(rated.policy_fee)))
    if rated.adjustment:
        lines.append(PremiumLine("minimum_premium", "Raised to the minimum premium", str(rated.adjustment)))
    return Premium(
        amount=str(rated.total),
        currency=rated.currency,
        term_months=rated.term_months,
        plan=f"{rated.plan}+{rated.digest}",
        calculation_id=calculation_id,
        based_on_version=version,
        at=at,
        breakdown=tuple(lines),
    )


def unrated_product(product: str) -> InvalidRequest:
    """Return the error for a product without a plan."""
    return refusal((Fault("product", f"there is no rating plan for {product[:40]!r}"),))


def _by_field(fault: Fault) -> Fault:
    """Return a fault under the name of the quote's field."""
    kind, _, code = fault.field.partition(".")
    if code:
        return Fault(f"{COVERAGE if kind == 'coverages' else DISCOUNT}{code}", fault.reason)
    return Fault(_FIELD_OF.get(fault.field, fault.field), fault.reason)


def _date_faults(quote: Quote) -> list[Fault]:
    return [] if _day(quote, "effective_date") else [Fault("effective_date", "is missing")]


def _experience_faults(facts: Facts) -> list[Fault]:
    age, licensed = facts.measures.get("driver_age"), facts.measures.get("licensed_years")
    if age is None or licensed is None or licensed <= max(0, age - DRIVER_AGE_MIN):
        return []
    return [Fault("driver_licensed_years", f"{licensed} years are more than a driver of {age} can have")]


def _measure(quote: Quote, name: str) -> int | Decimal | None:
    begins, value = _day(quote, "effective_date"), quote.value(_FIELD_OF[name])
    if name == "driver_age":
        born = _day(quote, _FIELD_OF[name])
        return None if begins is None or born is None else age_on(begins, born)
    if name == "vehicle_age":
        return max(0, begins.year - value) if begins is not None and isinstance(value, int) else None
    if name == "vehicle_value":
        return Decimal(value) if isinstance(value, str) else None
    return value if isinstance(value, int) else None


def _day(quote: Quote, name: str) -> date | None:
    value = quote.value(name)
    return date.fromisoformat(value) if isinstance(value, str) else None


def age_on(day: date, born: date) -> int:
    """Return whole years; who was born on 29 February has their birthday on 1 March in other years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
