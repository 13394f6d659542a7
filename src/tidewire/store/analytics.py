"""Queries that count quotes, what became of them, and how long things took. It must not know who asks, or what for.

Each dashboard is one statement: it sees the database at one moment, so that its parts add up to its totals. It reads
only what is not older than the time asked for, by an index; ``tests/store/test_analytics.py`` has the plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Float,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)

from tidewire.store.analytics_records import Figure, Logins, Scope, Timed
from tidewire.store.database import Database
from tidewire.store.models import Base, NullableJson
from tidewire.store.spelling import Cents, Currency, HourBegins, HourOf, Seconds, WholeSeconds
from tidewire.store.timing_records import BUCKETS, Timing

_QUOTES, _CHANGES = Base.metadata.tables["quotes"], Base.metadata.tables["quote_changes"]
_SESSIONS, _TIMINGS = Base.metadata.tables["sessions"], Base.metadata.tables["analytics_timings"]
# Spelt out: SQLite uses an index of a part of the rows only if it can see that they are those.
_IS_STATUS = _CHANGES.c.field == literal_column("'status'")


class Analytics:
    """See the module's text."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quotes(self, scope: Scope) -> list[Figure]:
        """Count the quotes made since then, and what happened to any quote since then. Raises StoreError.

        Returns:
            ``total`` (quotes, different customers); ``status`` by its name (quotes); ``state`` by its code (quotes, of
            these bound); ``premium`` by currency (quotes that have one, sum in cents); ``created``, ``quoted``,
            ``bound`` by the hour's beginning in Unix seconds (quotes).
        """
        return await self._figures(quotes_query(scope))

    async def conversion(self, scope: Scope) -> list[Figure]:
        """Follow the quotes made since then. Raises StoreError.

        Returns:
            ``funnel``, ``state`` by code and ``product`` by name (drafted, ever quoted, bound); ``time`` (bound;
            ``exact``: average seconds from made to bound), ``median`` and ``p90`` (``exact``: the same, nearest rank).
        """
        return await self._figures(conversion_query(scope))

    async def performance(self, since: float, step_s: int) -> list[Timed]:
        """Add up how long things took since then, by outcome, and by steps of time. Raises StoreError."""
        async with self._database.read() as session:
            return [_timed(row) for row in await session.execute(performance_query(since, step_s))]

    async def logins(self, now: float) -> Logins:
        """Count the logins that stand now. Raises StoreError."""
        async with self._database.read() as session:
            row = (await session.execute(logins_query(now))).one()
        return Logins(row.sessions, row.users)

    async def _figures(self, query: Any) -> list[Figure]:
        async with self._database.read() as session:
            return [Figure(*row) for row in await session.execute(query)]


# ---- the statements


def quotes_query(scope: Scope) -> Any:
    """Return the statement of ``Analytics.quotes``.

    Each part reads the index of its own accord: five short passes take a third of the time of one table of all parts'
    columns, which SQLite would write and sort anew for each part.
    """
    recent = (_QUOTES.c.created_at >= scope.since, *_of(scope))
    # Cast, so that SQLite does not take another index because it is in this order.
    kind = (cast(_QUOTES.c.status, String), cast(_QUOTES.c.state, String))
    kinds = (
        select(kind[0].label("status"), kind[1].label("state"), func.count().label("quotes"))
        .where(*recent)
        .group_by(*kind)
        .cte("kinds")
    )
    priced = (
        select(Currency().label("currency"), Cents().label("cents"))
        .select_from(_QUOTES)
        .where(*recent, _QUOTES.c.premium.is_not(None))
        .limit(_ALL)
        .subquery("priced")
    )
    hour = HourOf(_QUOTES.c.created_at)
    hours = select(hour.label("hour"), func.count().label("quotes")).where(*recent).group_by(hour).subquery("hours")
    moved = _moved(scope)
    return union_all(
        _row("total", None, func.count(), func.count(_QUOTES.c.customer.distinct())).where(*recent),
        _row("status", kinds.c.status, func.sum(kinds.c.quotes)).group_by(kinds.c.status),
        _row(
            "state",
            kinds.c.state,
            func.sum(kinds.c.quotes),
            func.sum(case((kinds.c.status == "bound", kinds.c.quotes), else_=0)),
        ).group_by(kinds.c.state),
        _row("premium", priced.c.currency, func.count(priced.c.cents), func.sum(priced.c.cents))
        .where(priced.c.cents.is_not(None))
        .group_by(priced.c.currency),
        _row("created", HourBegins(hours.c.hour), hours.c.quotes),
        *(_row(name, HourBegins(moved.c.hour), moved.c.quotes).where(moved.c.became == name) for name in _MOVES),
    )


def conversion_query(scope: Scope) -> Any:
    """Return the statement of ``Analytics.conversion``."""
    cohort = _followed(scope)
    took = Seconds(cohort.c.bound_at) - Seconds(cohort.c.created_at)
    ranked = (
        select(took.label("took"), func.row_number().over(order_by=took).label("rank"), func.count().over().label("n"))
        .where(cohort.c.bound_at.is_not(None))
        .cte("ranked")
    )
    reached = (func.count(), func.count(cohort.c.quoted_at), func.count(cohort.c.bound_at))
    kinds = (
        select(
            cohort.c.state, cohort.c.product, *(one.label(name) for name, one in zip(_REACHED, reached, strict=True))
        )
        .group_by(cohort.c.state, cohort.c.product)
        .cte("kinds")
    )
    sums = [func.coalesce(func.sum(kinds.c[name]), 0) for name in _REACHED]
    return union_all(
        _row("funnel", None, *sums).select_from(kinds),
        _row("state", kinds.c.state, *sums).group_by(kinds.c.state),
        _row("product", kinds.c.product, *sums).group_by(kinds.c.product),
        _row("time", None, func.count(), exact=func.avg(ranked.c.took)).select_from(ranked),
        # Nearest rank: of n the one of rank ceil(n / 2), and ceil(9 n / 10); whole numbers are divided rounding down.
        *(
            _row(name, None, exact=ranked.c.took)
            .where(ranked.c.rank * below <= ranked.c.n * above + below - 1)
            .where(ranked.c.rank * below >= ranked.c.n * above)
            for name, above, below in (("median", 1, 2), ("p90", 9, 10))
        ),
    )


def performance_query(since: float, step_s: int) -> Any:
    """Return the statement of ``Analytics.performance``."""
    buckets = [_TIMINGS.c[f"b{number}"] for number in range(BUCKETS)]
    recent = (
        select(
            _TIMINGS.c.kind, _TIMINGS.c.outcome, _step(_TIMINGS.c.step_at, step_s).label("at"), _TIMINGS.c["count"],
            _TIMINGS.c.total_ms, *buckets,
        )
        # The kinds are named so that the key's index can be used.
        .where(_TIMINGS.c.kind.in_(("api", "calculation")), _TIMINGS.c.step_at >= since)
        .cte("recent")
    )  # fmt: skip
    sums = [func.sum(recent.c["count"]), func.sum(recent.c.total_ms)]
    whole = select(
        recent.c.kind, recent.c.outcome, cast(null(), BigInteger).label("at"), *sums,
        *(cast(func.sum(recent.c[bucket.name]), BigInteger) for bucket in buckets),
    ).group_by(recent.c.kind, recent.c.outcome)  # fmt: skip
    steps = select(
        recent.c.kind, recent.c.outcome, recent.c.at, *sums, *(cast(literal(0), BigInteger) for _ in buckets)
    ).group_by(recent.c.kind, recent.c.outcome, recent.c.at)
    return union_all(whole, steps)


def logins_query(now: float) -> Any:
    """Return the statement of ``Analytics.logins``."""
    return select(
        func.count().label("sessions"), func.count(_SESSIONS.c.user_id.distinct()).label("users")
    ).where(_SESSIONS.c.revoked_at.is_(None), _SESSIONS.c.expires_at > now)  # fmt: skip


def _followed(scope: Scope) -> CTE:
    """Each quote made since then, with when it was first quoted and bound.

    Quotes come in the order of their index, and of each its few changes of status by another: nothing is sorted.
    """
    joined = _QUOTES.outerjoin(
        _CHANGES, and_(_CHANGES.c.quote_id == _QUOTES.c.id, _IS_STATUS, _CHANGES.c.at >= scope.since)
    )
    return (
        select(
            _QUOTES.c.state,
            _QUOTES.c.product,
            _QUOTES.c.created_at,
            *(func.min(case((_is(name), _CHANGES.c.at))).label(f"{name}_at") for name in _MOVES),
        )
        .select_from(joined)
        .where(_QUOTES.c.created_at >= scope.since, *_of(scope))
        .group_by(_QUOTES.c.created_at, _QUOTES.c.id)
        .cte("cohort")
    )


def _moved(scope: Scope) -> CTE:
    """How many quotes became quoted and bound in each hour since then, each quote once an hour."""
    hour, wanted = HourOf(_CHANGES.c.at), _of(scope)
    # A change is of a quote that exists; only a filter needs to see it.
    source = _CHANGES.join(_QUOTES, _QUOTES.c.id == _CHANGES.c.quote_id) if wanted else _CHANGES
    return (
        select(
            hour.label("hour"), _became().label("became"), func.count(_CHANGES.c.quote_id.distinct()).label("quotes")
        )
        .select_from(source)
        .where(_IS_STATUS, _CHANGES.c.at >= scope.since, *wanted)
        .group_by(hour, _CHANGES.c.after)
        .cte("moved")
    )


_MOVES = ("quoted", "bound")
# A limit that nothing reaches: SQLite takes values out of an index of expressions only where it does not add them up.
_ALL = 2**62
_REACHED = ("drafted", "quoted", "bound")


def _is(status: str) -> ColumnElement[bool]:
    return _CHANGES.c.after == type_coerce(status, NullableJson)


def _became() -> ColumnElement[Any]:
    return case(*((_is(name), literal(name)) for name in _MOVES), else_=null())


def _row(
    part: str,
    key: Any,
    first: Any = None,
    second: Any = None,
    third: Any = None,
    exact: Any = None,
) -> Any:
    counts = (null() if one is None else one for one in (first, second, third))
    return select(
        literal(part).label("part"),
        (literal("") if key is None else cast(key, String)).label("key"),
        *(cast(one, BigInteger) for one in counts),
        cast(null() if exact is None else exact, Float),
    )


def _of(scope: Scope) -> list[ColumnElement[bool]]:
    wanted = ((_QUOTES.c.state, scope.state), (_QUOTES.c.product, scope.product))
    return [column == value for column, value in wanted if value]


def _step(moment: ColumnElement[Any], step_s: int) -> ColumnElement[int]:
    whole = WholeSeconds(moment)
    return whole - whole % step_s


def _timed(row: Sequence[Any]) -> Timed:
    kind, outcome, at, count, total_ms, *buckets = row
    return Timed(kind, outcome, at, Timing(int(count), float(total_ms), [int(one) for one in buckets]))
