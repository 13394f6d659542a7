"""The real server's event loop stands still for three seconds (reliability.md bar R18)."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.crowd import Crowd
from tests.support.house import BLOCK_S, ROOM, housing
from tests.support.population import populate


def test_a_stall_is_told_with_its_stack_and_disconnects_nobody(tmp_path: Path) -> None:
    """The log names the call while it holds the loop; what was asked meanwhile is answered, and nobody is closed."""
    people = populate(tmp_path, 2)
    with housing(people, tmp_path) as house, Crowd() as crowd:
        guests = house.guests(crowd, 20)
        assert house.get("/readyz")[0] == 200
        house.service.process.send_signal(signal.SIGUSR2)
        stalled = house.service.logged("event_loop_stalled")
        # Said on the way into the stall, not after it: the call that blocks is at the end of the stack.
        assert "time.sleep(block_s)" in stalled["stack"].strip().splitlines()[-1]
        assert stalled["stalled_ms"] < 1000 * BLOCK_S
        for guest in guests:
            guest.say("ping", id=1)
        resumed = house.service.logged("event_loop_resumed")
        assert resumed["stood_still_ms"] >= 1000 * BLOCK_S
        crowd.run(lambda: all(guest.heard("reply", id=1) for guest in guests), "answers")
        offset = house.publish("after")
        crowd.run(lambda: all(guest.offsets.get(ROOM) == [offset] for guest in guests), "the message after")
        assert house.metric("tidewire_event_loop_stalls_total") >= 1
        assert house.metric("tidewire_event_loop_longest_stall_seconds") >= BLOCK_S
        assert house.metric("tidewire_hub_connections") == len(guests)
        assert house.metric("tidewire_hub_opened_total") == len(guests)
        assert house.get("/readyz")[0] == 200
    assert not any(guest.ended for guest in guests)
