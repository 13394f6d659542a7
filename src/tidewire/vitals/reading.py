"""What one node tells of its figures: as they are, as they were, and by how much they have risen. Pure.

It must not know where figures come from, or how nodes talk.
"""

from __future__ import annotations

import msgspec

from tidewire.core.sample import NodeSamples, Sample
from tidewire.vitals.ring import Line

EVERY_S = 5.0
# Three readings that did not come: whatever the reason, nobody should take the figures for those of now.
STALE_S = 3 * EVERY_S


class NodeVitals(NodeSamples, frozen=True, kw_only=True):
    """What one node measured, and how old that is.

    Attributes:
        age_s: By the node's own clock, when it answered.
        trouble: Why there is nothing newer; empty if all is well.
    """

    age_s: float = 0.0
    trouble: str = ""

    @property
    def stale(self) -> bool:
        """Whether nobody should take the figures for those of now."""
        return self.age_s > STALE_S


class NodeHistory(msgspec.Struct, frozen=True):
    """What one node remembers of named figures. ``times``: Unix seconds by that node's clock, oldest first."""

    node: str
    instance: str
    times: list[float]
    lines: list[Line]


class NodeIncrease(msgspec.Struct, frozen=True):
    """By how much named counters of one node have risen in ``seconds``, which may be fewer than asked for."""

    node: str
    instance: str
    seconds: float
    rises: list[Sample]
