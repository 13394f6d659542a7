"""The messages of whoever watches figures, and the HTTP documents, as structs. Pure.

``docs/protocol.md`` has an example of each message. It must not know rooms, sockets or who asks.
Source: contract.md sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tidewire.core.protocol import Epoch, MessageId, Offset, RoomId
from tidewire.core.sample import Labels
from tidewire.hub.node_info import Silent
from tidewire.vitals.catalogue import NAMES_MAX, Metric
from tidewire.vitals.figures import Figure, NodeAge
from tidewire.vitals.performance import Performance
from tidewire.vitals.rules import DEFAULT_S

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=NAMES_MAX)]
Status = Literal["ok", "degraded", "failed"]

# ---- client to server ------------------------------------------------------------------------------------------------


class _Client(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends. Unknown fields are ignored."""

    id: MessageId | None = None


class MonitoringConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to watch; no group stands for all, so that a misspelt name of a field must not pass for none."""

    interval_s: float = DEFAULT_S
    groups: Names = ()


class StartMonitoring(_Client, frozen=True, kw_only=True, tag="start_monitoring"):
    """Watch the nodes' figures."""

    config: MonitoringConfig = MonitoringConfig()


class StopMonitoring(_Client, frozen=True, kw_only=True, tag="stop_monitoring"):
    """Watch no more."""


class StartPerformance(_Client, frozen=True, kw_only=True, tag="start_performance"):
    """Watch how fast it is; no metric stands for the usual ones."""

    metrics: Names = ()
    interval_s: float = DEFAULT_S


class StopPerformance(_Client, frozen=True, kw_only=True, tag="stop_performance"):
    """Watch no more."""


CLIENT_TYPES: tuple[type[msgspec.Struct], ...] = (StartMonitoring, StopMonitoring, StartPerformance, StopPerformance)


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody's room shows from now on: all that they watch on any of their connections to this node."""

    room_id: str
    interval_s: float
    items: list[str]


# ---- server to client ------------------------------------------------------------------------------------------------


class Everybody(msgspec.Struct, frozen=True, kw_only=True):
    """Whose figures a message has.

    Attributes:
        complete: Every node there may be has answered with figures that are not stale.
        silent: Who did not answer, and why.
        cut_off: Why this node hears no other one at all; empty if it does.
    """

    interval_s: float
    over_s: float
    complete: bool
    nodes: list[NodeAge]
    silent: list[Silent]
    cut_off: str


class SystemMetrics(Everybody, frozen=True, kw_only=True, tag_field="type", tag="system_metrics"):
    """The figures of every node, by group; ``values`` stand in the order of ``nodes``. Rates are over ``over_s``."""

    room_id: RoomId
    epoch: Epoch
    offset: Offset
    timestamp: float
    groups: dict[str, list[Figure]]


class PerformanceMetrics(Everybody, frozen=True, kw_only=True, tag_field="type", tag="performance_metrics"):
    """How fast it was in the last ``over_s`` seconds, by metric."""

    room_id: RoomId
    epoch: Epoch
    offset: Offset
    timestamp: float
    metrics: dict[str, Performance]


SERVER_TYPES: tuple[type[msgspec.Struct], ...] = (SystemMetrics, PerformanceMetrics)

# ---- HTTP ------------------------------------------------------------------------------------------------------------


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found, when it was asked.

    Attributes:
        latency_ms: How long it took to answer; null if it did not.
        reason: What is wrong, or what there is to know; empty if all is well.
        code, details: The same for programs: a stable word, and what the reason names.
    """

    name: str
    status: Status
    latency_ms: float | None
    reason: str = ""
    required_action: str = ""
    will_not: str = ""
    code: str = ""
    details: dict[str, Any] = {}


class SystemHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this node, and what it needs, works: every check was carried out for this answer.

    Attributes:
        status: The worst of all checks.
        at: When the answer was complete, Unix seconds.
        took_ms: How long all checks together took.
    """

    status: Status
    node: str
    instance: str
    at: float
    took_ms: float
    checks: list[CheckResult]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The names there are."""

    metrics: list[Metric]


class LineShown(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one node over time; null: it was not there."""

    name: str
    labels: dict[str, str]
    values: list[float]


class NodeLines(msgspec.Struct, frozen=True, kw_only=True):
    """What one node remembers; ``values`` stand beside ``times`` (Unix seconds, by that node's clock)."""

    node: str
    instance: str
    times: list[float]
    lines: list[LineShown]


class HistoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The last quarter of an hour of named figures, of every node that answered."""

    at: float
    complete: bool
    silent: list[Silent]
    cut_off: str
    nodes: list[NodeLines]


class TrendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The percentiles of one histogram over time, over all nodes that answered; null: there were no values.

    Attributes:
        times: End of each step, Unix seconds.
        over_s: What each point looks back over.
    """

    at: float
    metric: str
    complete: bool
    silent: list[Silent]
    cut_off: str
    over_s: float
    times: list[float]
    per_second: list[float | None]
    p50: list[float | None]
    p95: list[float | None]
    p99: list[float | None]


def labels_shown(labels: Labels) -> dict[str, str]:
    """Return labels as an object."""
    return dict(labels)


def joined(common: Mapping[str, object], member: str, pieces: Mapping[str, bytes]) -> bytes:
    """Return a message's body of what is common and of pieces that are encoded already."""
    return msgspec.json.encode({**common, member: {name: msgspec.Raw(piece) for name, piece in pieces.items()}})
