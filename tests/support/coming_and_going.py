"""Clients that come, enter rooms, publish and leave in every way that there is, in rounds. It must not judge."""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator

from tests.support.crowd import CLOSE, Crowd, Guest, client_frame
from tests.support.house import House

# As many at once as arrive in a tenth of a second at the pace of the long run.
BATCH = 8
WAYS = ("close frame", "end of stream", "reset", "half a handshake", "wrong frame")


def cycle(house: House, count: int, *, pace_s: float = 0.0) -> Iterator[int]:
    """Let ``count`` clients come and go, a few at a time; yield how many have, after each few.

    Args:
        pace_s: Smallest time from one few to the next.
    """
    done = 0
    while done < count:
        next_at = time.monotonic() + pace_s
        few = min(BATCH, count - done)
        with Crowd() as crowd:
            _visit(house, crowd, done, few)
        done += few
        yield done
        time.sleep(max(0.0, next_at - time.monotonic()))


def ways(count: int) -> Counter[str]:
    """Return how many of ``count`` clients left in which way."""
    return Counter(WAYS[n % len(WAYS)] for n in range(count))


def _visit(house: House, crowd: Crowd, first: int, few: int) -> None:
    """One round: each enters a room that others use and one of its own, says something there, hears it, and leaves."""
    numbers = range(first, first + few)
    headers = [house.people.headers_of(house.port, n % len(house.people.cookies)) for n in numbers]
    guests = crowd.arrive(house.port, headers)
    # A few rooms remember what was said; each visitor's own is new, remembers nothing and is forgotten within minutes.
    hall = f"app:hall-{first // BATCH % 20}"
    rooms = {guest: f"app:own-{n}" for n, guest in zip(numbers, guests, strict=True)}
    crowd.enter(guests, hall)
    for guest, room in rooms.items():
        guest.say("subscribe", room_id=room, presence=True)
        guest.say("publish", id=1, room_id=room, data="x", volatile=True)
        guest.say("publish", id=2, room_id=hall, data="x")
    crowd.run(lambda: all(len(guest.offsets.get(hall, ())) == few for guest in guests), "everybody's words")
    crowd.run(lambda: all(guest.heard("room_message", room_id=rooms[guest]) for guest in guests), "their own words")
    for n, guest in zip(numbers, guests, strict=True):
        _leave(house, guest, WAYS[n % len(WAYS)])
    waiting = [guest for n, guest in zip(numbers, guests, strict=True) if WAYS[n % len(WAYS)] == "close frame"]
    crowd.run(lambda: all(guest.ended for guest in waiting), "the answers to their close frames")


def _leave(house: House, guest: Guest, way: str) -> None:
    if way == "close frame":
        guest.sock.send(client_frame(CLOSE, b"\x03\xe8"))
    elif way == "reset":
        guest.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif way == "wrong frame":
        guest.sock.send(b"\xf3\x00")
    elif way == "half a handshake":
        with socket.create_connection(("127.0.0.1", house.port)) as half:
            half.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgr")
