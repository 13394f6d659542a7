"""Rights that end while the real server streams, most of them by the hand of another process (bars R14, R15)."""

from __future__ import annotations

import re
import time
import urllib.parse
import urllib.request
from pathlib import Path

from tests.support.crowd import Crowd, Guest
from tests.support.house import ROOM, House, housing
from tests.support.population import DIRECT, populate

TICKS = "market:AAPL"
# Long enough to connect on a busy machine, short enough to wait for.
SESSION_S = 8.0
WITNESS, DENIED, DISABLED, LEAVING, DEMOTED, EXPIRING = range(6)


def test_every_kind_of_revocation_ends_the_stream(tmp_path: Path) -> None:
    """Denied, disabled, logged out, demoted, expired: a named end for each, nothing after it, no way back in."""
    people = populate(tmp_path, 6)
    people.act(lambda accounts: accounts.change_user(f"user-{DEMOTED}", role="admin"))
    with housing(people, tmp_path, "--feed") as house, Crowd() as crowd:
        ends_at = time.time() + SESSION_S
        people.cookies[EXPIRING] = people.log_in(EXPIRING, SESSION_S)
        guests = [*_arrive(house, crowd, range(DEMOTED)), *_arrive(house, crowd, [DEMOTED], "/ws/admin-dashboard")]
        guests += _arrive(house, crowd, [EXPIRING])
        for room in (TICKS, ROOM):
            crowd.enter(guests, room)
        crowd.run(lambda: all(guest.offsets.get(TICKS) for guest in guests), "ticks for all")

        denials = frozenset({"market:view"})
        people.act(lambda accounts: accounts.change_user(f"user-{DENIED}", denials=denials))
        people.act(lambda accounts: accounts.change_user(f"user-{DISABLED}", disabled=True))
        people.act(lambda accounts: accounts.change_user(f"user-{DEMOTED}", role="user"))
        _log_out(house, people.cookies[LEAVING])
        ended = [guests[n] for n in (DISABLED, LEAVING, DEMOTED, EXPIRING)]
        crowd.run(lambda: all(guest.ended for guest in ended), "four ends")
        denied = guests[DENIED]
        crowd.run(lambda: bool(denied.heard("unsubscribed")), "the end of the room")

        _stream_on(house, crowd, guests)
        assert [guest.close_code for guest in guests] == [None, None, 4511, 4512, 4507, 4200]
        assert denied.heard("unsubscribed")[0]["reason"] == "permission_revoked"
        assert all(not guest.strays for guest in guests)
        (closing,) = guests[EXPIRING].heard("connection", status="closing")
        assert 0 <= closing["timestamp"] - ends_at < SESSION_S
        _no_way_back(house, crowd, denied)


def _arrive(house: House, crowd: Crowd, users: range | list[int], path: str = "/ws") -> list[Guest]:
    headers = [house.people.headers_of(house.port, user) for user in users]
    return crowd.arrive(house.port, headers, path=path)


def _stream_on(house: House, crowd: Crowd, guests: list[Guest]) -> None:
    """More is published, and those who may have it get it: what the others did not get was there to be had."""
    witness, denied = guests[WITNESS], guests[DENIED]
    ticks = len(witness.offsets[TICKS])
    last = [house.publish(n) for n in range(20)][-1]
    crowd.run(lambda: all(guest.offsets.get(ROOM, [0])[-1] == last for guest in (witness, denied)), "messages")
    crowd.run(lambda: len(witness.offsets[TICKS]) >= ticks + 10, "ticks")
    assert witness.offsets[ROOM] == list(range(1, last + 1)) == denied.offsets[ROOM]


def _no_way_back(house: House, crowd: Crowd, denied: Guest) -> None:
    denied.say("subscribe", id=9, room_id=TICKS)
    crowd.run(lambda: bool(denied.heard("reply", id=9)), "the refusal")
    assert denied.heard("reply", id=9)[0]["error"]["code"] == "permission_denied"
    back = _arrive(house, crowd, [DISABLED, LEAVING, EXPIRING])
    crowd.run(lambda: all(guest.ended for guest in back), "three refusals")
    assert {guest.close_code for guest in back} == {4500}


def _log_out(house: House, cookie: str) -> None:
    """Press the button as a browser does."""
    url = f"http://127.0.0.1:{house.port}/logout"
    headers = {"Cookie": f"tidewire_session={cookie}", "Origin": url.removesuffix("/logout")}
    with DIRECT.open(urllib.request.Request(url, headers=headers), timeout=20) as page:
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    assert token is not None
    body = urllib.parse.urlencode({"csrf_token": token[1]}).encode()
    with DIRECT.open(urllib.request.Request(url, body, headers), timeout=20) as answer:
        assert answer.url.endswith("/login")
