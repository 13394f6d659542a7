"""The in-process bus where it differs: re-entrant publishes and their bound."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.core.errors import BusError


async def test_an_endless_echo_is_refused_by_name() -> None:
    """Two subscribers that answer each other for ever end in one named refusal, and the bus works on."""
    bus = MemoryBus(HandClock(), max_nested_messages=100)
    await bus.start()
    refusals: list[BusError] = []
    heard: list[str] = []

    def echo_to(target: str) -> None:
        def receive(channel: str, payloads: Sequence[bytes]) -> None:
            heard.append(channel)
            try:
                bus.publish(target, payloads)
            except BusError as error:
                refusals.append(error)

        bus.subscribe("b" if target == "a" else "a", receive)

    echo_to("a")
    echo_to("b")
    bus.publish("a", [b"ping"])
    assert len(heard) == 101
    assert [error.code for error in refusals] == ["bus_outbox_full"]
    assert refusals[0].required_action
    assert bus.status().refused == 1
    bus.publish("a", [b"again"])
    assert len(heard) == 202


async def test_a_nested_call_is_taken_whole_or_not_at_all() -> None:
    """A call that does not fit the bound leaves nothing behind."""
    bus = MemoryBus(HandClock(), max_nested_messages=10)
    await bus.start()
    seen: list[bytes] = []

    def receive(_: str, payloads: Sequence[bytes]) -> None:
        with pytest.raises(BusError):
            bus.publish("out", [b"x"] * 11)
        bus.publish("out", [b"y"] * 10)

    bus.subscribe("in", receive)
    bus.subscribe("out", lambda _, payloads: seen.extend(payloads))
    bus.publish("in", [b"go"])
    assert seen == [b"y"] * 10
    assert bus.status().callback_errors == 0
    assert bus.status().outbox_messages == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), max_size=20))
def test_all_subscribers_see_one_order(script: list[tuple[str, int]]) -> None:
    """Whatever callbacks publish in between, every subscriber of a channel sees the same sequence."""
    import asyncio

    bus = MemoryBus(HandClock())
    asyncio.run(bus.start())
    seen: dict[str, list[list[bytes]]] = {name: [[], [], []] for name in "ab"}

    def listen(name: str, index: int) -> None:
        def receive(channel: str, payloads: Sequence[bytes]) -> None:
            seen[channel][index].extend(payloads)
            for payload in payloads:
                # The middle subscriber answers: a message that carries n begets one that carries n - 1, elsewhere.
                if index == 1 and payload[-1:] > b"0":
                    bus.publish("b" if channel == "a" else "a", [payload + b"%d" % (int(payload[-1:]) - 1)])

        bus.subscribe(name, receive)

    for name in "ab":
        for index in range(3):
            listen(name, index)
    for number, (name, depth) in enumerate(script):
        bus.publish(name, [b"%d:%d" % (number, depth)])
    for first, second, third in seen.values():
        assert first == second == third
    assert bus.status().published == sum(1 + depth for _, depth in script)
