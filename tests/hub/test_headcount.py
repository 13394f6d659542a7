"""Counted once over all nodes: against plain sets, whatever comes and goes, is lost, or dies."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.hub import headcount
from tidewire.hub.headcount import CHANNEL, Headcount

KINDS = ("users", "rooms")


@dataclass
class Node:
    """A node that has what a test says."""

    name: str
    has: dict[str, set[str | int]]
    count: Headcount = field(init=False)

    def listen(self) -> None:
        """Hear the others from now on."""
        self.count.rounds.listening.start()

    def deafen(self) -> None:
        """Hear nothing."""
        self.count.rounds.listening.stop()


class Crowd:
    """Nodes on one bus; ``living``: those that all of them take for alive."""

    def __init__(self, number: int) -> None:
        clock = HandClock()
        self.bus = MemoryBus(clock)
        self.nodes = [Node(f"n{i}", {kind: set() for kind in KINDS}) for i in range(number)]
        self.living = {node.name for node in self.nodes}
        for node in self.nodes:
            node.count = Headcount(self.bus, clock, node.name, lambda node=node: node.has, lambda: (self.living, []))
            node.listen()

    def tell(self) -> None:
        """Every node that lives has its turn."""
        for node in self.nodes:
            if node.name in self.living:
                node.count.tick()

    def truth(self) -> dict[str, int]:
        """Count by hand."""
        living = [node for node in self.nodes if node.name in self.living]
        return {kind: len(set[str | int]().union(*(node.has[kind] for node in living))) for kind in KINDS}


@pytest.fixture
async def crowd() -> Crowd:
    """Three nodes."""
    made = Crowd(3)
    await made.bus.start()
    return made


def everybody(crowd: Crowd) -> list[dict[str, int]]:
    """Return what each living node says."""
    return [node.count.totals() for node in crowd.nodes if node.name in crowd.living]


def change(crowd: Crowd, chance: random.Random) -> None:
    """Let things come and go anywhere; most are on several nodes."""
    for node in crowd.nodes:
        for kind in KINDS:
            node.has[kind] = {thing for thing in range(12) if chance.random() < 0.4}


@pytest.mark.parametrize("seed", range(5))
async def test_every_node_counts_each_once(crowd: Crowd, seed: int) -> None:
    """After each round all nodes say what the union of the sets has."""
    chance = random.Random(seed)
    for _ in range(20):
        change(crowd, chance)
        crowd.tell()
        assert everybody(crowd) == [crowd.truth()] * 3


async def test_what_a_node_has_not_heard_is_not_guessed(crowd: Crowd) -> None:
    """Messages are lost: with the next one there is no total, the whole is asked for, and then it is right again."""
    chance = random.Random(3)
    change(crowd, chance)
    crowd.tell()
    deaf = crowd.nodes[0]
    deaf.deafen()
    change(crowd, chance)
    crowd.tell()
    deaf.listen()
    change(crowd, chance)
    crowd.tell()
    assert deaf.count.totals() == {}
    assert crowd.nodes[1].count.totals() == crowd.truth()
    for _ in range(2):
        crowd.tell()
    assert deaf.count.asked == 2
    assert everybody(crowd) == [crowd.truth()] * 3


async def test_who_dies_leaves_and_who_comes_is_counted(crowd: Crowd) -> None:
    """A node that does not live any more counts no more; one that comes is unknown until it has told all it has."""
    change(crowd, random.Random(4))
    crowd.living = {"n0", "n1"}
    crowd.tell()
    assert everybody(crowd) == [crowd.truth()] * 2
    crowd.living = {"n0", "n1", "n2"}
    assert crowd.nodes[0].count.totals() == {}
    for _ in range(2):
        crowd.tell()
    assert everybody(crowd) == [crowd.truth()] * 3
    crowd.living = {"n0"}
    assert everybody(crowd) == [crowd.truth()]
    crowd.living = {"n0", "n1"}
    change(crowd, random.Random(5))
    crowd.tell()
    for _ in range(2):
        crowd.tell()
    assert everybody(crowd) == [crowd.truth()] * 2


async def test_alone_a_node_tells_nothing_and_knows_at_once() -> None:
    """With nobody else the count is that of the moment, and no message is sent."""
    crowd = Crowd(1)
    await crowd.bus.start()
    heard: list[object] = []
    crowd.bus.subscribe(CHANNEL, lambda _, payloads: heard.extend(payloads))
    crowd.tell()
    crowd.nodes[0].has["users"] = {1, 2}
    assert everybody(crowd) == [{"users": 2, "rooms": 0}]
    assert heard == []


async def test_many_are_told_in_parts(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one message is told in several, and counts when the last has come."""
    monkeypatch.setattr(headcount, "PER_MESSAGE", 10)
    for number, node in enumerate(crowd.nodes):
        node.has = {"users": set(range(number * 50, number * 50 + 95)), "rooms": {f"app:{i}" for i in range(31)}}
    crowd.tell()
    assert everybody(crowd) == [{"users": 195, "rooms": 31}] * 3


async def test_what_cannot_be_read_is_counted_and_skipped(crowd: Crowd) -> None:
    """Noise on the channel changes nothing."""
    change(crowd, random.Random(6))
    crowd.tell()
    crowd.bus.publish(CHANNEL, [b"\x00", b"\x97\xa1x", headcount._encode(["x", "users", b"abc", b"", False, None, []])])
    assert everybody(crowd) == [crowd.truth()] * 3
    assert crowd.nodes[0].count.malformed == 3
