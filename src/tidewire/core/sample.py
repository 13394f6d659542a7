"""Figures of one process at one time, under the names that ``/metrics`` gives them: what pages, rules and charts share.

One name for one figure everywhere: what an operator reads on a page can be looked up in Prometheus and put in an alert
rule. It must not know where figures come from, or what is done with them.
Source: dashboard.md 1.2, S4; Prometheus manual, "Data model".
"""

from __future__ import annotations

import msgspec

Labels = tuple[tuple[str, str], ...]

# What may be on several nodes at once -> the figure that counts each once over all nodes, which every node has: the
# sum over nodes would count them several times.
COUNTED_ONCE = {
    "tidewire_hub_users": "tidewire_cluster_users",
    "tidewire_hub_logins": "tidewire_cluster_logins",
    "tidewire_hub_rooms": "tidewire_cluster_rooms",
}


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One figure.

    Attributes:
        name: Full metric name with its unit, such as ``tidewire_hub_outbox_bytes``.
        labels: Name and value of each label, sorted by name.
    """

    name: str
    value: float
    labels: Labels = ()


class NodeSamples(msgspec.Struct, frozen=True):
    """What one node measured at once.

    Attributes:
        node: What the operator calls the node.
        instance: One life of its process.
        at: Unix time in seconds, by that node's clock.
    """

    node: str
    instance: str
    at: float
    samples: list[Sample]
