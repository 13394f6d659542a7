"""The demo's past: quotes that scripted colleagues are said to have made over the last day and a half.

They go straight into the database, because nobody can do anything in the past over the API; what each quote went
through is decided by the product's own rules. The same for a seed. It must not know sockets.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from tidewire.cli.demo_script import COLLEAGUES, sample_fields
from tidewire.client.event import Json
from tidewire.quotes import editing
from tidewire.quotes.editing import Act, Author, index_of
from tidewire.quotes.facts import facts_of, premium_of
from tidewire.quotes.plan import Plan
from tidewire.quotes.rating import Rating
from tidewire.store.database import Database
from tidewire.store.quote_records import Change, Decision
from tidewire.store.quotes import Quotes

NUMBER = 120
HOURS = 36.0
HOUR_S = 3_600.0
# How much goes on in each hour of the day, UTC: nights are quiet.
_PACE = (1, 1, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 6, 7, 8, 9, 9, 8, 7, 6, 5, 4, 3, 2)
_STATES = ("CA", "CA", "CA", "TX", "TX", "NY", "NY", "FL", "FL", "WA", "IL", "PA", "OH", "GA", "VA", "MA", "CO", "OR")
_GIVEN = ("Nora", "Liam", "Ines", "Omar", "Ruth", "Hugo", "Mei", "Sven", "Dara", "Paul", "Aiko", "Elsa", "Jack", "Zoe")
_FAMILY = ("Example", "Sample", "Muster", "Specimen", "Template", "Placeholder")
_CARS = (("Toyota", "Corolla"), ("Honda", "Civic"), ("Ford", "Escape"), ("Subaru", "Forester"), ("Mazda", "CX-5"))


@dataclass(frozen=True, slots=True)
class Past:
    """One quote's past; the others are moments after ``created_at``, None if it never came to that."""

    fields: Mapping[str, Json]
    author: str
    created_at: float
    quoted_at: float | None
    bound_at: float | None


def pasts(seed: int, now: float, today: date, number: int = NUMBER) -> list[Past]:
    """Return what went on until ``now``, oldest first."""
    chance = random.Random(f"{seed}:history")  # noqa: S311 - a script, no secret
    found: list[Past] = []
    while len(found) < number:
        created = now - 60.0 - chance.random() * HOURS * HOUR_S
        if chance.random() * max(_PACE) > _PACE[datetime.fromtimestamp(created, UTC).hour]:
            continue
        quoted = created + chance.lognormvariate(5.5, 0.9)
        bound = quoted + chance.lognormvariate(7.6, 1.1)
        was_quoted = chance.random() < 0.72 and quoted < now
        was_bound = was_quoted and chance.random() < 0.45 and bound < now
        fields = _fields(chance, today)
        found.append(
            Past(
                fields, chance.choice(COLLEAGUES), round(created, 6),
                round(quoted, 6) if was_quoted else None, round(bound, 6) if was_bound else None,
            )
        )  # fmt: skip
    return sorted(found, key=lambda past: past.created_at)


async def store_pasts(database: Database, plans: Mapping[str, Plan], wanted: list[Past]) -> None:
    """Store them. Raises StoreError."""
    quotes = Quotes(database, index_of)
    for past in wanted:
        await quotes.add(_played(past, plans))
    await quotes.stop()


def _played(past: Past, plans: Mapping[str, Plan]) -> Decision:
    """Return a quote with everything that happened to it."""
    author = Author(None, past.author, "system")
    decision = editing.create(str(uuid.uuid4()), past.fields, Act(author, past.created_at, reason="demo"))
    changes: list[Change] = list(decision.changes)
    if past.quoted_at is not None:
        quote = decision.quote
        plan = plans[str(quote.value("product"))]
        rating = Rating(plan, facts_of(plan, quote))
        while rating.advance():
            pass
        assert rating.result is not None  # noqa: S101 - the last stage sets it or raises
        name = f"demo-{quote.id[:8]}"
        premium = premium_of(rating.result, calculation_id=name, version=quote.version, at=past.quoted_at)
        decision = editing.rate(quote, premium, Act(author, past.quoted_at, op_id=name))
        changes += decision.changes
    if past.bound_at is not None:
        decision = editing.bind(decision.quote, Act(author, past.bound_at))
        changes += decision.changes
    return Decision(decision.quote, changes)


def _fields(chance: random.Random, today: date) -> dict[str, Json]:
    customer = f"{chance.choice(_GIVEN)} {chance.choice(_FAMILY)}"
    make, model = chance.choice(_CARS)
    born = date(chance.randrange(1950, 2000), chance.randrange(1, 13), chance.randrange(1, 29))
    licensed = chance.randrange(1, today.year - born.year - 20)
    fields = sample_fields(
        (
            customer, chance.choice(_STATES), make, model, chance.randrange(2010, 2025),
            f"{chance.randrange(6_000, 48_000)}.00", chance.randrange(3, 18) * 1_000, born.isoformat(), licensed,
            chance.choice((0, 0, 0, 0, 1, 1, 2)),
        ),
        today,
    )  # fmt: skip
    return {**fields, "coverage_collision": chance.choice(("250", "500", "1000"))}
