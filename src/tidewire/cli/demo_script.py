"""What the demo's quotes say and what its scripted colleagues do with them: data and chance, the same for a seed.

Nobody of these people exists. It must not know sockets; ``demo_colleagues`` plays it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from tidewire.client.event import Json

# Whoever meets one in a form sees by the name that no person types there.
COLLEAGUES = ("nora.script", "otis.script", "pia.script", "raul.script")
NOTES = (
    "Called back, wants to start next month.",
    "Asked for the price with a higher deductible.",
    "Sends a photo of the odometer on Monday.",
    "Second driver is not to be insured.",
    "Prefers e-mail.",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A quote that is there when the demo begins.

    Attributes:
        played: Whether scripted colleagues edit it; the others are left to whoever looks at the demo.
        ends: How far it is brought before anybody sees it.
    """

    fields: Mapping[str, Json]
    played: bool = True
    ends: Literal["draft", "quoted", "bound"] = "draft"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a colleague does.

    Attributes:
        field: Where; None: begins to calculate the premium.
        values: The first that the field does not have is put there; none: only looked at.
        pause_s: Rest before it while somebody is looking.
    """

    field: str | None
    values: tuple[Json, ...]
    pause_s: float


# customer, state, make, model, year, value, miles, born, licensed for years, incidents
Person = tuple[str, str, str, str, int, str, int, str, int, int]
_PEOPLE: tuple[Person, ...] = (
    ("Grace Hopper", "CA", "Subaru", "Outback", 2021, "25000.00", 9_000, "1986-12-09", 20, 0),
    ("Ada Lovelace", "NY", "Toyota", "Prius", 2019, "18500.00", 7_500, "1990-12-10", 15, 1),
    ("Alan Turing", "WA", "Volvo", "V60", 2022, "39900.00", 12_000, "1982-06-23", 24, 0),
    ("Katherine Johnson", "VA", "Honda", "Civic", 2017, "11200.00", 6_000, "1958-08-26", 47, 0),
    ("Edsger Dijkstra", "TX", "Ford", "F-150", 2023, "52000.00", 15_000, "1980-05-11", 27, 2),
    ("Emmy Noether", "PA", "Mazda", "3", 2020, "17300.00", 8_000, "2001-03-23", 5, 0),
    ("Claude Shannon", "MI", "Jeep", "Wrangler", 2018, "24100.00", 5_000, "1976-04-30", 30, 0),
    ("Barbara Liskov", "MA", "Tesla", "Model 3", 2022, "31000.00", 11_000, "1989-11-07", 18, 0),
)
_QUOTED, _BOUND = 5, 6

# Changed by the one who cares for the price; every value differs from the one before it.
_RATED: Mapping[str, tuple[Json, ...]] = {
    "coverage_collision": ("500", "1000", "250"),
    "coverage_comprehensive": ("250", "500", "1000"),
    "coverage_liability": ("50/100/50", "100/300/100"),
    "annual_mileage": (8_500, 10_500, 12_500),
    "discount_paid_in_full": (True, False),
    "discount_multi_policy": (True, False),
}
# Changed by the one who cares for the customer; none of it takes a premium away.
_PLAIN: Mapping[str, tuple[Json, ...]] = {"notes": NOTES}
_LOOKED_AT = ("customer_name", "vehicle_model", "driver_name", "effective_date", "vehicle_value")


def samples(today: date) -> list[Sample]:
    """Return the quotes that the demo begins with, oldest first; dates are relative to ``today``."""
    made = [Sample(sample_fields(person, today)) for person in _PEOPLE]
    made[_QUOTED] = Sample(made[_QUOTED].fields, ends="quoted")
    made[_BOUND] = Sample(made[_BOUND].fields, played=False, ends="bound")
    # One has hardly begun, so that somebody can fill it in without company.
    last = made[-1].fields
    made[-1] = Sample({name: last[name] for name in ("customer_name", "state", "product")}, played=False)
    return made


def pair(number: int) -> tuple[str, str]:
    """Return who edits the sample ``number``: who cares for the price, and who cares for the customer."""
    return COLLEAGUES[number % len(COLLEAGUES)], COLLEAGUES[(number + 1) % len(COLLEAGUES)]


def rounds(seed: int, number: int, name: str) -> Iterator[list[Step]]:
    """Yield what a colleague does in the sample ``number``, round by round, for ever."""
    chance = random.Random(f"{seed}:{number}:{name}")  # noqa: S311 - a script, no secret
    round_of = _price_round if name == pair(number)[0] else _customer_round
    while True:
        yield round_of(chance)


def _price_round(chance: random.Random) -> list[Step]:
    """Change a fact, calculate, look around: there is a premium most of the time."""
    return [
        _edit(chance, _RATED),
        Step(None, (), chance.uniform(1.0, 2.0)),
        _look(chance),
        _look(chance),
    ]


def _customer_round(chance: random.Random) -> list[Step]:
    return [_look(chance), _edit(chance, _PLAIN), _look(chance)]


def _edit(chance: random.Random, fields: Mapping[str, tuple[Json, ...]]) -> Step:
    name = chance.choice(sorted(fields))
    values = list(fields[name])
    chance.shuffle(values)
    return Step(name, tuple(values), chance.uniform(1.0, 2.5))


def _look(chance: random.Random) -> Step:
    return Step(chance.choice(_LOOKED_AT), (), chance.uniform(1.5, 4.0))


def sample_fields(person: Person, today: date) -> dict[str, Json]:
    """Return the fields of somebody's quote."""
    customer, state, make, model, year, value, miles, born, licensed, incidents = person
    return {
        "customer_name": customer,
        "customer_email": f"{customer.lower().replace(' ', '.')}@example.org",
        "state": state,
        "product": "personal_auto",
        "effective_date": (today + timedelta(days=30)).isoformat(),
        "coverage_liability": "100/300/100",
        "coverage_collision": "500",
        "vehicle_make": make,
        "vehicle_model": model,
        "vehicle_year": year,
        "vehicle_value": value,
        "annual_mileage": miles,
        "driver_name": customer,
        "driver_birth_date": born,
        "driver_licensed_years": licensed,
        "driver_incidents": incidents,
    }
