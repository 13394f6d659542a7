"""Quotes of known size for analytics, and what they come to, counted by hand in Python or by plain SQL."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, text

from tidewire.store.database import Database
from tidewire.store.models import Base

QUOTES, CHANGES = Base.metadata.tables["quotes"], Base.metadata.tables["quote_changes"]
NOW = 1_700_001_234.5
HOUR_S = 3_600
PART = 100
RATED = {"term_months": 6, "plan": "test 1", "calculation_id": "c-1", "based_on_version": 1, "at": NOW}


@dataclass(frozen=True)
class Made:
    """One quote and what became of it; times are Unix seconds."""

    created_at: float
    customer: str = "Ada"
    state: str = "CA"
    product: str = "personal_auto"
    quoted_at: float | None = None
    bound_at: float | None = None
    expired: bool = False
    amount: str | None = None
    currency: str = "USD"

    @property
    def status(self) -> str:
        """The status it has now."""
        if self.bound_at is not None:
            return "bound"
        if self.expired:
            return "expired"
        return "quoted" if self.quoted_at is not None and self.amount is not None else "draft"


def some(number: int, seed: int = 1, now: float = NOW, span_s: float = 40 * HOUR_S) -> list[Made]:
    """Return quotes of every kind, the same for a seed; some are older than a day."""
    chance = random.Random(seed)
    found = []
    for _ in range(number):
        created = now - chance.uniform(0, span_s)
        quoted = created + chance.uniform(1, 4_000) if chance.random() < 0.6 else None
        bound = quoted + chance.uniform(1, 9_000) if quoted is not None and chance.random() < 0.5 else None
        if bound is not None and bound > now:
            bound = None
        if quoted is not None and quoted > now:
            quoted = bound = None
        priced = bound is not None or (quoted is not None and chance.random() < 0.8)
        found.append(
            Made(
                round(created, 6),
                customer=chance.choice(("Ada", "Grace", "Edsger", "Emmy", "Alan")),
                state=chance.choice(("CA", "CA", "NY", "WA")),
                product="personal_auto" if chance.random() < 0.9 else "other_auto",
                quoted_at=None if quoted is None else round(quoted, 6),
                bound_at=None if bound is None else round(bound, 6),
                expired=chance.random() < 0.1,
                amount=f"{chance.randrange(50_000, 250_000) / 100:.2f}" if priced else None,
            )
        )
    return found


async def put(database: Database, quotes: Iterable[Made]) -> list[str]:
    """Store them as the product does: a row each, and a change for each status; return their numbers."""
    waiting, numbers = list(quotes), []
    # Each part is done within the time that a transaction may take, on a busy machine too.
    for begin in range(0, len(waiting), PART):
        numbers += await _put_part(database, waiting[begin : begin + PART])
    return numbers


async def _put_part(database: Database, quotes: list[Made]) -> list[str]:
    rows, changes, numbers = [], [], []
    for made in quotes:
        number = str(uuid.uuid4())
        numbers.append(number)
        about = {"customer_name": made.customer, "state": made.state, "product": made.product}
        fields = {
            name: {"value": value, "revision": 0, "version": 1, "by": "ada", "at": made.created_at}
            for name, value in about.items()
        }
        premium = None if made.amount is None else {**RATED, "amount": made.amount, "currency": made.currency}
        rows.append(
            {
                "id": number, "status": made.status, "version": 9, "fields": fields, "premium": premium,
                "state": made.state, "product": made.product,
                "customer": made.customer, "search": "", "created_at": made.created_at,
                "created_by": "ada", "updated_at": made.created_at, "expires_at": None,
            }
        )  # fmt: skip
        changes.append(_change(number, 1, "state", made.state, made.created_at))
        if made.quoted_at is not None:
            changes.append(_change(number, 2, "status", "quoted", made.quoted_at))
        if made.bound_at is not None:
            changes.append(_change(number, 3, "status", "bound", made.bound_at))
    async with database.write() as session:
        await session.execute(insert(QUOTES), rows)
        await session.execute(insert(CHANGES), changes)
    return numbers


def _change(number: str, version: int, field: str, after: str, at: float) -> dict[str, Any]:
    return {
        "quote_id": number, "version": version, "field": field, "revision": 0, "before": None, "after": after, "at": at,
        "actor_id": None, "actor": "ada", "op_id": None, "connection": "test", "reason": "",
    }  # fmt: skip


async def ask(database: Database, sql: str, **values: Any) -> Sequence[Any]:
    """Run SQL written by hand; return its rows."""
    async with database.read() as session:
        return list(await session.execute(text(sql), values))


def hour(at: float) -> int:
    """Return the beginning of a moment's hour."""
    return int(at // HOUR_S) * HOUR_S
