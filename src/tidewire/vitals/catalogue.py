"""The names there are: what each figure is called, counts and means, and how those of several nodes become one. Pure.

It must not know values, nodes or who asks. Names are those of single figures, as ``/metrics`` prints them:
``tidewire_hub_published_total``, ``tidewire_http_response_seconds_bucket``.
Source: Prometheus manual, "Metric types", "Metric and label naming".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from tidewire.core.errors import InvalidRequest
from tidewire.core.sample import COUNTED_ONCE

Kind = Literal["counter", "gauge", "histogram"]
# How the figures of several nodes become one; ``once``: what is on several nodes counts once (``COUNTED_ONCE``).
Total = Literal["sum", "max", "min", "once"]
# Names that one message may ask for; a page of charts has a dozen.
NAMES_MAX = 64
_PARTS: dict[str, tuple[str, ...]] = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
_FAR = ("tidewire_feed_", "tidewire_cluster_")
_WORST = ("_timestamp_seconds", "_peak_bytes", "_age_seconds", "_ratio")


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What one name stands for.

    Attributes:
        unit: ``seconds``, ``bytes``, ``per second``, ``ratio``, or empty: a number of things.
        total: How the figures of several nodes become one.
        far: Measured elsewhere and told to every node, so a first value is no increase, and nodes agree.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    total: Total
    far: bool = False


def metrics_of(family: str, kind: str, text: str) -> list[Metric]:
    """Return the names of a family of metrics, whether or not it has any figure now.

    Args:
        family: As in ``# TYPE`` lines, without the endings of single figures.
        kind: Prometheus's type.
    """
    parts = _PARTS.get(kind, ("",))
    known: Kind = "counter" if kind == "counter" else "histogram" if kind == "histogram" else "gauge"
    return [
        Metric(
            name=family + part,
            kind=known,
            unit=_unit(family, part),
            help=text,
            total=_total(family, known),
            far=family.startswith(_FAR),
        )
        for part in parts
    ]


def require_names(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the names, each once. Raises InvalidRequest if one is unknown, or there are none or too many."""
    wanted, there_are = tuple(dict.fromkeys(names)), set(known)
    if not wanted or len(wanted) > NAMES_MAX:
        raise InvalidRequest(
            f"Between 1 and {NAMES_MAX} metrics can be asked for at once, not {len(wanted)}.",
            required_action="Name the figures that are wanted, as GET /metrics calls them.",
            will_not="Tidewire will not choose some of them.",
            code="bad_metrics",
            details={"most": NAMES_MAX, "count": len(wanted)},
        )
    unknown = [name for name in wanted if name not in there_are]
    if unknown:
        raise InvalidRequest(
            f"There is no metric called {unknown[0][:80]!r}"
            + (f", nor {len(unknown) - 1} more of those asked for." if len(unknown) > 1 else "."),
            required_action="Use the names of GET /api/v1/admin/analytics/metrics.",
            will_not="Tidewire will not show another figure, or none, in its place.",
            code="unknown_metric",
            details={"metric": unknown[0][:80]},
        )
    return wanted


def _unit(family: str, part: str) -> str:
    if part in ("_bucket", "_count"):
        return ""
    for ending, unit in (("_seconds", "seconds"), ("_bytes", "bytes"), ("_per_second", "per second")):
        if family.endswith(ending):
            return unit
    return "ratio" if family.endswith("_ratio") else ""


def _total(family: str, kind: Kind) -> Total:
    if family in COUNTED_ONCE:
        return "once"
    if family.startswith(_FAR) or family.endswith(_WORST):
        return "max"
    if kind != "gauge":
        return "sum"
    if family.endswith(("_up", "_accepting")):
        return "min"
    # Of times, stalls and states the worst one matters; the rest are amounts.
    return "max" if family.endswith(("_seconds", "_degraded", "_max")) else "sum"
