"""The figures of all nodes: those of the registry, from whichever node answers, and who does not answer is named."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from tests.support.clock import HandClock
from tests.support.platform import read_until, served
from tidewire.bus.memory import MemoryBus
from tidewire.core.sample import NodeSamples
from tidewire.hub.nodes import Nodes
from tidewire.vitals.gatherer import Gatherer
from tidewire.vitals.sampler import Sampler


class Site:
    """One node with figures that a test sets by hand."""

    def __init__(self, bus: MemoryBus, clock: HandClock, name: str, **more: float) -> None:
        self.registry = CollectorRegistry()
        self.counter = Counter("tidewire_things", "Things", registry=self.registry)
        self.gauge = Gauge("tidewire_level", "Level", ["place"], registry=self.registry)
        self.nodes = Nodes(bus, clock, name, count=lambda: 0, **more)
        self.sampler = Sampler(lambda: self.registry, clock, node=name, instance=self.nodes.node)
        self.gatherer = Gatherer(self.nodes, self.sampler)


def figures(node: NodeSamples) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what a node measured, by name and labels."""
    return {(sample.name, sample.labels): sample.value for sample in node.samples}


async def test_every_node_tells_its_own_figures() -> None:
    """Two nodes, asked from either: each figure is the one that was counted by hand, under its node's name."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    a, b = Site(bus, clock, "a"), Site(bus, clock, "b")
    a.counter.inc(3)
    b.counter.inc(40)
    b.gauge.labels(place="left").set(2.5)
    await a.nodes.start()
    await b.nodes.start()
    found = await a.gatherer.latest()
    assert [(node.node, figures(node)["tidewire_things_total", ()]) for node in found.nodes] == [("a", 3), ("b", 40)]
    assert figures(found.nodes[1])["tidewire_level", (("place", "left"),)] == 2.5
    assert found.complete
    turned = await b.gatherer.latest()
    assert [node.node for node in turned.nodes] == ["b", "a"]
    for site in (a, b):
        await site.nodes.stop()
    await bus.stop()


async def test_a_node_that_does_not_answer_is_named() -> None:
    """Its figures are not there, and it says so."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    a, b = Site(bus, clock, "a", answer_within_s=0.05), Site(bus, clock, "b")
    await a.nodes.start()
    await b.nodes.start()
    b.nodes.rounds.listening.stop()
    found = await a.gatherer.latest()
    assert [node.node for node in found.nodes] == ["a"]
    assert [(each.node, each.why) for each in found.silent] == [("b", "no_answer")]
    await a.nodes.stop()
    await b.nodes.stop()
    await bus.stop()


async def test_many_askers_are_one_question() -> None:
    """Whoever asks while the question is under way shares its answer, also when another one gives up."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    a, b, mute = Site(bus, clock, "a", answer_within_s=0.2), Site(bus, clock, "b"), Site(bus, clock, "mute")
    asked = 0
    answer = b.nodes.handlers["vitals"]

    def counted(payload: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return answer(payload)

    b.nodes.handlers["vitals"] = counted
    for site in (a, b, mute):
        await site.nodes.start()
    # Who does not answer keeps the question open.
    mute.nodes.rounds.listening.stop()
    impatient = asyncio.create_task(a.gatherer.latest())
    await asyncio.sleep(0)
    others = [asyncio.create_task(a.gatherer.latest()) for _ in range(10)]
    await asyncio.sleep(0)
    impatient.cancel()
    found = await asyncio.gather(*others)
    assert asked == 1
    assert all(len(each.nodes) == 2 for each in found)
    await a.gatherer.stop()
    for site in (a, b, mute):
        await site.nodes.stop()
    await bus.stop()


async def test_a_reading_is_shared_for_a_moment_and_then_taken_anew() -> None:
    """Nobody sees a figure older than a quarter of a second, and a crowd costs one reading."""
    clock = HandClock()
    site = Site(MemoryBus(clock), clock, "a")
    site.counter.inc()
    first = site.sampler.latest()
    site.counter.inc()
    assert figures(site.sampler.latest()) == figures(first)
    await clock.advance(1.0)
    assert figures(site.sampler.latest())["tidewire_things_total", ()] == 2
    assert site.sampler.readings == 2


async def test_a_collector_that_breaks_leaves_old_figures_that_say_so() -> None:
    """The last good figures with their age and the reason; a new reading ends it."""
    clock = HandClock()
    site = Site(MemoryBus(clock), clock, "a")
    site.counter.inc(7)
    assert site.sampler.latest().trouble == ""
    broken = [True]

    def collect() -> list[object]:
        if broken:
            raise RuntimeError("the collector is out of order")
        return []

    site.registry.register(type("Broken", (), {"collect": staticmethod(collect)})())  # type: ignore[arg-type]
    await clock.advance(20.0)
    found = site.sampler.latest()
    assert figures(found)["tidewire_things_total", ()] == 7
    assert (found.age_s, found.stale, found.trouble) == (20.0, True, "RuntimeError: the collector is out of order")
    assert site.sampler.failures == 1
    broken.clear()
    found = site.sampler.latest()
    assert (found.age_s, found.stale, found.trouble) == (0.0, False, "")


async def test_history_is_there_from_the_first_second_and_stays_bounded() -> None:
    """One reading at the start, one every five seconds, a quarter of an hour at most."""
    clock = HandClock()
    site = Site(MemoryBus(clock), clock, "a")
    began = clock.time()
    site.sampler.start()
    for _ in range(200):
        site.counter.inc(2)
        await clock.advance(5.0)
    history = site.sampler.history(["tidewire_things_total"], 1e9)
    assert len(history.times) == 181
    assert history.times[-1] == pytest.approx(began + 1000.0)
    assert history.times[0] == pytest.approx(began + 100.0)
    (line,) = history.lines
    assert line.values == [2.0 * n for n in range(20, 201)]
    assert site.sampler.history(["tidewire_things_total"], 12.0).lines[0].values == [396.0, 398.0, 400.0]
    await site.sampler.stop()


async def test_increases_are_those_of_the_window() -> None:
    """What was counted in the last half minute, and in how many seconds."""
    clock = HandClock()
    site = Site(MemoryBus(clock), clock, "a")
    site.sampler.start()
    site.counter.inc(1000)
    await clock.advance(60.0)
    site.counter.inc(25)
    await clock.advance(3.0)
    found = site.sampler.increase(["tidewire_things_total"], 30.0)
    assert [(rise.name, rise.value) for rise in found.rises] == [("tidewire_things_total", 25.0)]
    assert found.seconds == pytest.approx(33.0)
    await site.sampler.stop()


async def test_the_catalogue_names_what_metrics_serves() -> None:
    """Kinds, units and texts by the name of each figure, whether or not it has a value yet."""
    clock = HandClock()
    known = Site(MemoryBus(clock), clock, "a").gatherer.catalogue()
    assert {name: (metric.kind, metric.help) for name, metric in known.items()} == {
        "tidewire_things_total": ("counter", "Things"),
        "tidewire_level": ("gauge", "Level"),
    }


async def test_the_figures_of_a_process_are_those_of_its_metrics_page(tmp_path: Path) -> None:
    """What the hub counted by hand is what the sampler says, under the name that /metrics prints."""
    async with served(tmp_path) as site, site.socket("ada") as socket:
        await read_until(socket, "connection")
        site.web.vitals.sampler.record()
        (node,) = (await site.web.vitals.gatherer.latest()).nodes
        found = figures(node)
        assert found["tidewire_hub_connections", ()] == 1
        assert found["tidewire_hub_opened_total", ()] == 1
        async with site.http("ada") as client:
            text = (await client.get("/metrics")).text
        assert "tidewire_hub_opened_total 1.0" in text.splitlines()
