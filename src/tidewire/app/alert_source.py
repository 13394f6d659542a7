"""Where the rules' figures come from: what all nodes have measured, as the vitals gather it.

Figures that are too old to be those of now are left out, and their node counts as one that did not answer: a rule must
never judge the past. It must not know rules.
"""

from __future__ import annotations

import msgspec

from tidewire.core.sample import NodeSamples
from tidewire.vitals.gatherer import Gatherer


class Figures(msgspec.Struct, frozen=True):
    """What the nodes that answered have measured; ``silent`` are (node, instance) of those without figures of now."""

    nodes: list[NodeSamples]
    silent: list[tuple[str, str]]


class GatheredSource:
    """Implements alerts.evaluator.Source.

    Args:
        gatherer: The figures of all nodes.
    """

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def latest(self) -> Figures:
        """Return the newest figures of all nodes. Raises BusError."""
        gathered = await self._gatherer.latest()
        fresh = [node for node in gathered.nodes if not node.stale]
        silent = [(node.node, node.instance) for node in gathered.nodes if node.stale]
        silent += [(node.node, node.instance) for node in gathered.silent]
        return Figures(list(fresh), silent)
