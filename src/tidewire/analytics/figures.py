"""From counted rows to the parts of a dashboard, and what of them has changed. Pure.

It must not know where rows come from or who sees what. What each part holds is in docs/analytics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from tidewire.analytics.rules import HOUR_S, View
from tidewire.store.analytics_records import Figure, Logins, Timed
from tidewire.store.records import JsonValue
from tidewire.store.timing_records import Timing

STATUSES = ("draft", "quoted", "bound", "expired")
# The rest is added up: it is counted, and said to be.
TOP_STATES = 10
ENDS = ("done", "failed", "discarded", "timed_out")
Parts = dict[str, JsonValue]
SUCCESS, REFUSED, FAULT = ("1xx", "2xx", "3xx"), "4xx", "5xx"


def changed(before: Parts | None, after: Parts) -> Parts:
    """Return the parts that are not as they were; one that is gone is null."""
    if before is None:
        return after
    gone: Parts = dict.fromkeys(before.keys() - after.keys())
    return {**gone, **{name: value for name, value in after.items() if name not in before or before[name] != value}}


def applied(before: Parts, changes: Parts) -> Parts:
    """Return the parts after a change: what a client does with an update that is not complete."""
    return {name: value for name, value in {**before, **changes}.items() if value is not None}


def quotes_parts(view: View, figures: Sequence[Figure], now: float) -> Parts:
    """Return the parts of the dashboard ``quotes``."""
    total = next(one for one in figures if one.part == "total")
    states = sorted(_part(figures, "state"), key=lambda one: (-_n(one.first), one.key))
    top, rest = states[:TOP_STATES], states[TOP_STATES:]
    counts = {one.key: _n(one.first) for one in _part(figures, "status")}
    return {
        "totals": {"quotes": _n(total.first), "customers": _n(total.second)},
        "statuses": {name: counts.get(name, 0) for name in STATUSES},
        "premium": {
            "withheld": False,
            "averages": [
                {"currency": one.key, "quotes": _n(one.first), "average": _average(_n(one.second), _n(one.first))}
                for one in sorted(_part(figures, "premium"), key=lambda one: (-_n(one.first), one.key))
            ],
        },
        "states": {
            "top": [{"state": one.key, "quotes": _n(one.first), "bound": _n(one.second)} for one in top],
            "others": {
                "states": len(rest),
                "quotes": sum(_n(one.first) for one in rest),
                "bound": sum(_n(one.second) for one in rest),
            },
        },
        "timeline": _timeline(
            view,
            now,
            {
                name: {int(one.key): _n(one.first) for one in _part(figures, name)}
                for name in ("created", "quoted", "bound")
            },
        ),
    }


def conversion_parts(_view: View, figures: Sequence[Figure], _now: float) -> Parts:
    """Return the parts of the dashboard ``conversion``."""
    (funnel,) = _part(figures, "funnel")
    exact = {one.part: one.exact for one in figures if one.part in ("time", "median", "p90")}
    bound = next(_n(one.first) for one in figures if one.part == "time")
    return {
        "funnel": _reached(funnel),
        "time_to_bind": {
            "bound": bound,
            "average_s": _rounded(exact.get("time")),
            "median_s": _rounded(exact.get("median")),
            "p90_s": _rounded(exact.get("p90")),
        },
        **{
            f"{part}s": [
                {part: one.key, **_reached(one)}
                for one in sorted(_part(figures, part), key=lambda one: (-_n(one.first), one.key))
            ]
            for part in ("state", "product")
        },
    }


def performance_parts(view: View, timed: Sequence[Timed], logins: Logins, now: float) -> Parts:
    """Return the parts of the dashboard ``performance``."""
    return {
        "api": {**_times(timed, "api"), **_answers(timed)},
        "calculations": {**_times(timed, "calculation"), "ends": _ends(timed)},
        "sessions": {"logins": logins.sessions, "users": logins.users},
        "timeline": _timeline(
            view,
            now,
            {
                "answers": _by_step(timed, "api", None),
                "faults": _by_step(timed, "api", (FAULT,)),
                "calculations": _by_step(timed, "calculation", None),
            },
            averages={"api_ms": _averages(timed, "api"), "calculation_ms": _averages(timed, "calculation")},
        ),
    }


def _timeline(
    view: View,
    now: float,
    counts: dict[str, dict[int, int]],
    averages: dict[str, dict[int, float | None]] | None = None,
) -> JsonValue:
    """A column per series, from the step in which the time asked for begins to the present one."""
    step = view.step_s
    first = int((now - view.hours * HOUR_S) // step) * step
    # A node whose clock is ahead may have made something in a step that has not begun here.
    last = max([int(now // step) * step, *(at for series in counts.values() for at in series)])
    steps = range(first, last + 1, step)
    return {
        "from": first,
        "step_s": step,
        **{name: [series.get(at, 0) for at in steps] for name, series in counts.items()},
        **{name: [series.get(at) for at in steps] for name, series in (averages or {}).items()},
    }


def _reached(one: Figure) -> dict[str, JsonValue]:
    drafted, quoted, bound = _n(one.first), _n(one.second), _n(one.third)
    return {
        "drafted": drafted,
        "quoted": quoted,
        "bound": bound,
        "quoted_rate": _share(quoted, drafted),
        "bound_rate": _share(bound, quoted),
        "overall_rate": _share(bound, drafted),
    }


def _times(timed: Iterable[Timed], kind: str) -> dict[str, JsonValue]:
    whole = Timing()
    for one in timed:
        if one.kind == kind and one.at is None:
            whole.merge(one.timing)
    return {
        "count": whole.count,
        "average_ms": whole.average_ms(),
        "p50_ms": whole.percentile_ms(0.50),
        "p95_ms": whole.percentile_ms(0.95),
        "p99_ms": whole.percentile_ms(0.99),
    }


def _answers(timed: Iterable[Timed]) -> dict[str, JsonValue]:
    counts = {one.outcome: one.timing.count for one in timed if one.kind == "api" and one.at is None}
    total, faults = sum(counts.values()), counts.get(FAULT, 0)
    return {"refused": counts.get(REFUSED, 0), "faults": faults, "fault_rate": _share(faults, total)}


def _ends(timed: Iterable[Timed]) -> dict[str, JsonValue]:
    counts = {one.outcome: one.timing.count for one in timed if one.kind == "calculation" and one.at is None}
    return {name: counts.get(name, 0) for name in ENDS}


def _by_step(timed: Iterable[Timed], kind: str, outcomes: tuple[str, ...] | None) -> dict[int, int]:
    found: dict[int, int] = {}
    for one in timed:
        if one.kind == kind and one.at is not None and (outcomes is None or one.outcome in outcomes):
            found[one.at] = found.get(one.at, 0) + one.timing.count
    return found


def _averages(timed: Iterable[Timed], kind: str) -> dict[int, float | None]:
    wholes: dict[int, tuple[int, float]] = {}
    for one in timed:
        if one.kind == kind and one.at is not None:
            count, total = wholes.get(one.at, (0, 0.0))
            wholes[one.at] = (count + one.timing.count, total + one.timing.total_ms)
    return {at: round(total / count, 3) if count else None for at, (count, total) in wholes.items()}


def _part(figures: Iterable[Figure], part: str) -> list[Figure]:
    return [one for one in figures if one.part == part]


def _n(value: int | None) -> int:
    return value or 0


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(max(0.0, value), 3)


def _average(cents: int, count: int) -> str:
    """Return the mean as money is written: exact, then rounded once."""
    return str((Decimal(cents) / Decimal(count * 100)).quantize(Decimal("0.01"), ROUND_HALF_EVEN))
