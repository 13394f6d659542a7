"""Which server of a Redis cluster keeps what: slots of names, owners of slots, redirections. Pure.

A name's slot is CRC-16/XMODEM modulo 16,384 of the part in the first braces, or of the whole name: so that what carries
the same tag is on one server. It must not know what names mean.
Source: Redis cluster specification, "Key distribution model", "Hash tags", "Redirection and resharding"; Redis manual,
"CLUSTER SLOTS".
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Literal, NamedTuple

SLOTS = 16_384


class Node(NamedTuple):
    """Where one server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Redirect(NamedTuple):
    """A refusal that says where to ask instead: for good (``MOVED``), this once (``ASK``), or later (``TRYAGAIN``)."""

    kind: Literal["MOVED", "ASK", "TRYAGAIN"]
    slot: int = -1
    node: Node | None = None


def slot_of(name: bytes) -> int:
    """Return the slot of a key or channel."""
    _, opened, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    # An empty or unclosed pair of braces counts as part of the name.
    return binascii.crc_hqx(tag if opened and closed and tag else name, 0) % SLOTS


def redirect(words: str, asked: Node) -> Redirect | None:
    """Read a refusal; None if it is of another kind. An empty host means the one that was asked."""
    kind, _, rest = words.partition(" ")
    if kind == "TRYAGAIN":
        return Redirect("TRYAGAIN")
    if kind not in ("MOVED", "ASK"):
        return None
    slot, _, where = rest.partition(" ")
    host, _, port = where.rpartition(":")
    if not (slot.isdecimal() and int(slot) < SLOTS and port.isdecimal()):
        return None
    return Redirect("MOVED" if kind == "MOVED" else "ASK", int(slot), Node(host or asked.host, int(port)))


class ClusterMap:
    """Owners of slots, as far as they are known.

    Attributes:
        nodes: Every server that was named, owners first; any of them can be asked for a newer map.
    """

    def __init__(self) -> None:
        self._owners: list[Node | None] = [None] * SLOTS
        self.nodes: tuple[Node, ...] = ()

    def owner(self, slot: int) -> Node | None:
        """Return who has a slot; None if nobody is known to."""
        return self._owners[slot]

    def owners(self) -> set[Node]:
        """Return every server that has a slot."""
        return {owner for owner in self._owners if owner is not None}

    def moved(self, slot: int, node: Node) -> bool:
        """Note that a slot is elsewhere; return whether that is news."""
        if self._owners[slot] == node:
            return False
        self._owners[slot] = node
        if node not in self.nodes:
            self.nodes = (*self.nodes, node)
        return True

    def replace(self, answer: object, asked: Node) -> bool:
        """Take the answer to CLUSTER SLOTS; return whether any owner is another now.

        Raises:
            ValueError: It is no such answer; nothing has changed.
        """
        owners: list[Node | None] = [None] * SLOTS
        named: dict[Node, None] = {}
        replicas: dict[Node, None] = {}
        if not isinstance(answer, list):
            raise ValueError(f"not a list of slots: {answer!r:.100}")
        for entry in answer:
            first, last, (primary, *others) = _entry(entry)
            owner = _node(primary, asked)
            owners[first : last + 1] = [owner] * (last + 1 - first)
            named[owner] = None
            replicas.update((_node(other, asked), None) for other in others)
        self.nodes = tuple({**named, **replicas})
        changed = owners != self._owners
        self._owners = owners
        return changed


def _entry(entry: object) -> tuple[int, int, Sequence[object]]:
    if (
        isinstance(entry, list)
        and len(entry) >= 3
        and isinstance(entry[0], int)
        and isinstance(entry[1], int)
        and 0 <= entry[0] <= entry[1] < SLOTS
    ):
        return entry[0], entry[1], entry[2:]
    raise ValueError(f"not a range of slots: {entry!r:.100}")


def _node(node: object, asked: Node) -> Node:
    if isinstance(node, list) and len(node) >= 2 and isinstance(node[1], int) and isinstance(node[0], bytes | None):
        return Node(node[0].decode("utf-8", "replace") if node[0] else asked.host, node[1])
    raise ValueError(f"not a server: {node!r:.100}")
