"""SIGTERM of the real server while hundreds of clients are connected (reliability.md bar R9)."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

from tests.support.crowd import Crowd, Guest
from tests.support.house import ROOM, housing
from tests.support.population import populate

# At 50 ms each this many fill the whole window of 10 s; `python -m bench.drain` does it with 2,000.
GUESTS = 200
# Every step of the drain waits a quarter of a second at least, so a second holds five steps at most.
STEPS_A_SECOND, STEPS = 5, 40
PUBLISHED = 60


def test_a_drain_loses_nobody_and_nothing(tmp_path: Path) -> None:
    """All are told, get all that was published, and are closed with 4000 a few at a time; newcomers are refused."""
    people = populate(tmp_path, GUESTS // 10)
    with housing(people, tmp_path) as house, Crowd() as crowd:
        guests = house.guests(crowd, GUESTS)
        offsets = [house.publish(n) for n in range(PUBLISHED)]
        house.service.process.send_signal(signal.SIGTERM)
        crowd.run(lambda: any(guest.heard("connection", status="draining") for guest in guests), "draining")
        assert house.get("/readyz")[0] == 503
        (late,) = crowd.arrive(house.port, [people.headers_of(house.port, 0)])
        assert late.status == 503
        crowd.run(lambda: all(guest.ended for guest in guests), "everybody's end")
        assert house.service.wait() == 0
    assert Counter(guest.close_code for guest in guests) == {4000: GUESTS}
    assert all(guest.offsets[ROOM] == offsets for guest in guests)
    _were_told_apart(guests)


def test_what_is_published_during_a_drain_has_no_holes(tmp_path: Path) -> None:
    """A client gets everything up to its own close, in order; a second SIGTERM ends all at once, and is logged."""
    people = populate(tmp_path, 10)
    with housing(people, tmp_path, code=128 + signal.SIGTERM) as house, Crowd() as crowd:
        guests = house.guests(crowd, 100)
        house.publish("before")
        house.service.process.send_signal(signal.SIGTERM)
        crowd.run(lambda: all(guest.heard("connection", status="draining") for guest in guests), "draining")
        during = [house.publish(n) for n in range(5)]
        # The second signal comes when some have been closed, and most of the window of 5 s is still to come.
        crowd.run(lambda: any(guest.close_code for guest in guests), "the first close")
        house.service.process.send_signal(signal.SIGTERM)
        house.service.wait()
        crowd.run(lambda: all(guest.ended for guest in guests), "the cut")
    for guest in guests:
        came = guest.offsets[ROOM]
        assert came == [1, *during][: len(came)]
    assert any("second signal" in str(line.get("event")) for line in house.service.log())
    assert {guest.close_code for guest in guests} == {4000, None}


def _were_told_apart(guests: list[Guest]) -> None:
    """Everybody was told when to come back, each at another time, and no second of the server's had too many closes."""
    hints = [guest.heard("connection", status="draining")[0]["reconnect_after_ms"] for guest in guests]
    assert len(set(hints)) == len(hints)
    closings = [guest.heard("connection", status="closing")[0] for guest in guests]
    assert all((said["code"], said["reason"]) == (4000, "drain") for said in closings)
    at = sorted(said["timestamp"] for said in closings)
    busiest = max(sum(first <= other < first + 1.0 for other in at) for first in at)
    assert busiest <= STEPS_A_SECOND * GUESTS // STEPS < 0.15 * GUESTS
