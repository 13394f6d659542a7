"""Which figures belong together on a page: the database's, the bus's, the hub's, and whatever counts a failure. Pure.

It must not know values. A figure may be in two groups: what counts a failure is in ``errors`` as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from tidewire.core.errors import InvalidRequest

_PREFIXES: dict[str, tuple[str, ...]] = {
    "database": ("tidewire_database_",),
    "bus": ("tidewire_bus_", "tidewire_room_log_", "tidewire_nodes_"),
    "hub": ("tidewire_hub_", "tidewire_cluster_", "tidewire_shared_", "tidewire_user_limit_", "tidewire_market_rooms_"),
    "feed": ("tidewire_feed_",),
    "event_loop": ("tidewire_event_loop_", "tidewire_vitals_"),
    "process": ("process_",),
}
ERRORS = "errors"
GROUPS = (*_PREFIXES, ERRORS)
# Steps of histograms are for percentiles; nobody reads them one by one.
_STEP = "_bucket"
_FAILURE = re.compile(
    r"_(errors?|failed|failures|faults|broken|lost|dropped|given_up|malformed|unsent|untold|unpublished|stalls|late"
    r"|refused|oversized|overloaded|expired|gaps|slow_cuts)(_total)?$"
)
_RESPONSES = "tidewire_http_responses_total"


# The names of a process are a few hundred; those of its neighbours are the same.
@lru_cache(4_096)
def groups_of(name: str) -> tuple[str, ...]:
    """Return the groups that a figure belongs to; none for what no page shows."""
    if name.endswith(_STEP):
        return ()
    found = [group for group, prefixes in _PREFIXES.items() if name.startswith(prefixes)]
    if counts_failures(name) or name == _RESPONSES:
        found.append(ERRORS)
    return tuple(found)


def counts_failures(name: str) -> bool:
    """Whether a figure only rises when something went wrong, whatever kind of metric it is."""
    return name.startswith("tidewire_") and _FAILURE.search(name) is not None


def require_groups(wanted: Iterable[str]) -> frozenset[str]:
    """Return the groups; all of them if none is named. Raises InvalidRequest if there is no such group."""
    chosen = frozenset(wanted) or frozenset(GROUPS)
    unknown = sorted(chosen - set(GROUPS))
    if unknown:
        raise InvalidRequest(
            f"There is no group of figures called {unknown[0][:40]!r}.",
            required_action=f"Use some of {', '.join(GROUPS)}, or none for all of them.",
            will_not="Tidewire will not show other figures in its place.",
            code="unknown_group",
            details={"group": unknown[0][:40]},
        )
    return chosen
