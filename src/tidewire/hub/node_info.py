"""What is known of a node: who it is, how it reaches what nodes share, and what is shown of it. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How a node reaches one thing that all nodes share.

    Attributes:
        state: ``up``, ``degraded`` or ``down``; ``reason`` is empty when up.
        circuit: ``closed``, ``open`` or ``half_open``; None where there is none.
        since: When the state began, Unix seconds.
        last_error, last_error_at: The newest reason for not being up since the start, and when it began.
        rtt_ms: Last round trip, milliseconds.
    """

    kind: str
    state: str
    since: float
    reason: str = ""
    circuit: str | None = None
    last_error: str = ""
    last_error_at: float | None = None
    rtt_ms: float | None = None


class NodeInfo(msgspec.Struct, frozen=True, tag="beat", tag_field="type"):
    """A node that lives. ``node`` is one life of it, ``name`` what the operator called it.

    Attributes:
        started_at: Unix seconds; tells lives of one name apart for people.
        reach: How it reaches the bus and the room log.
    """

    node: str
    name: str
    connections: int
    leaving: bool = False
    started_at: float = 0.0
    reach: dict[str, Reach] = {}


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A node without whose answer an answer is not complete.

    Attributes:
        why: ``no_answer`` in time, ``overdue`` (not heard of for a while), ``other_version`` (did not understand).
        heard_s_ago: When it last said that it lives.
    """

    node: str
    instance: str
    why: Literal["no_answer", "overdue", "other_version"]
    heard_s_ago: float


class NodeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A node as operators see it, from the node that serves them.

    Attributes:
        this: It is the node that serves them.
        heard_at: When it last said what stands here, Unix seconds.
        overdue: It has not said anything for a while.
    """

    node: str
    instance: str
    this: bool
    connections: int
    started_at: float
    heard_at: float
    overdue: bool
    reach: dict[str, Reach]

    def signature(self) -> tuple[object, ...]:
        """Return what makes it worth sending anew: no counter, no clock, and the round trip by powers of two."""
        known = tuple(
            (name, each.state, each.circuit, each.since, each.reason, each.last_error_at, _magnitude(each.rtt_ms))
            for name, each in self.reach.items()
        )
        return (self.instance, self.overdue, known)


def _magnitude(rtt_ms: float | None) -> int | None:
    return None if rtt_ms is None else round(1000 * rtt_ms).bit_length()
