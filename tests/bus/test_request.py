"""Asking over the bus: one reply for one question, bounded waiting, no guessing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.support.clock import HandClock
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.request import Requester
from tidewire.core.errors import BusError

ASK, REPLY = "tidewire:test:ask", "tidewire:test:reply:me"


async def started() -> tuple[MemoryBus, Requester]:
    """A started in-process bus and a requester that listens."""
    bus = MemoryBus(HandClock())
    await bus.start()
    requester = Requester(bus, REPLY, max_pending=2)
    requester.start()
    return bus, requester


def answer_with(bus: Bus, *replies: bytes) -> None:
    """Answer every question with ``replies``."""

    def receive(_channel: str, payloads: Sequence[bytes]) -> None:
        for _ in payloads:
            bus.publish(REPLY, list(replies))

    bus.subscribe(ASK, receive)


async def test_the_reply_with_the_same_id_is_returned() -> None:
    """Replies to others, malformed ones and a second one are counted and change nothing."""
    bus, requester = await started()
    wanted = json.dumps({"id": "q1", "ok": True}).encode()
    deep = b'{"id":"q1","more":' + b"[" * 100_000
    answer_with(bus, b"not json", deep, b'{"id":7}', b'{"id":"other"}', wanted, wanted)
    assert await requester.ask(ASK, "q1", b"{}", timeout_s=5.0) == wanted
    assert requester.statistics() == {"asked": 1, "unanswered": 0, "unexpected": 5, "pending": 0}


async def test_silence_becomes_an_error_with_what_to_do() -> None:
    """Nobody answers: BusError within the deadline, and nothing is left waiting."""
    _, requester = await started()
    with pytest.raises(BusError, match="Nobody answered") as caught:
        await requester.ask(ASK, "q1", b"{}", timeout_s=0.01)
    assert caught.value.code == "no_reply"
    assert "feed process" in caught.value.required_action
    assert requester.statistics()["pending"] == 0


async def test_too_many_open_questions_are_refused() -> None:
    """The third question is refused at once; stopping ends the two that wait."""
    _, requester = await started()
    waiting = [asyncio.create_task(requester.ask(ASK, f"q{n}", b"{}", timeout_s=60.0)) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(BusError) as caught:
        await requester.ask(ASK, "q3", b"{}", timeout_s=60.0)
    assert caught.value.code == "too_many_requests"
    requester.stop()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [BusError, BusError]


async def test_a_refusing_bus_is_told_at_once() -> None:
    """A bus that is down does not make the asker wait for the deadline."""
    bus, requester = await started()
    await bus.stop()
    with pytest.raises(BusError) as caught:
        await requester.ask(ASK, "q1", b"{}", timeout_s=60.0)
    assert caught.value.code == "broker_unavailable"
