"""Clients whose process is stopped, as a suspended laptop's is, among others that read (reliability.md bar R4)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import ROOT, environment
from tests.support.crowd import Crowd, Guest
from tests.support.house import ROOM, House, housing
from tests.support.population import populate

STOPPED, READING = 3, 10
# 7.5 MB for each of the stopped, more than the kernel and the hub hold together; the API takes 200 messages at once.
PAYLOAD, MESSAGES = "x" * 50_000, 150
HARD_BYTES = 1_048_576


def test_stopped_processes_are_let_go_and_nobody_else_notices(tmp_path: Path) -> None:
    """They are closed with 4003, their files are freed and what was held for them is bounded; the others get it all."""
    people = populate(tmp_path, 2)
    with housing(people, tmp_path) as house, Crowd() as crowd:
        guests = house.guests(crowd, READING)
        with _stopped(house):
            sockets = _sockets(house)
            for _ in range(MESSAGES):
                # Those who read have each message before the next is published: the hub is never behind with them.
                _hear(crowd, guests, house.publish(PAYLOAD))
            crowd.run(lambda: _sockets(house) <= sockets - STOPPED, "the end of the stopped ones")
            _hear(crowd, guests, house.publish("after"))
            assert house.metric('tidewire_hub_closed_total{code="4003"}') == STOPPED
            assert house.metric("tidewire_hub_connections") == READING
            assert house.metric("tidewire_hub_outbox_bytes") == 0
            # One message more than the mark may be on its way when it is crossed.
            assert house.metric("tidewire_hub_outbox_peak_bytes") <= STOPPED * (HARD_BYTES + 2 * len(PAYLOAD))
    for guest in guests:
        assert guest.offsets[ROOM] == list(range(1, MESSAGES + 2))
        assert not guest.strays


def _hear(crowd: Crowd, guests: list[Guest], offset: int) -> None:
    crowd.run(lambda: all(guest.offsets.get(ROOM, [0])[-1] == offset for guest in guests), "a message")


@contextmanager
def _stopped(house: House) -> Iterator[None]:
    """Let a process of its own come in with its guests, and stop it; it goes on when the block ends."""
    order = {
        "port": house.port,
        "headers": [house.people.headers_of(house.port, 1)] * STOPPED,
        "receive_bytes": 4_096,
        "room_id": ROOM,
        "within_s": 60,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.crowd"],
        env=environment(), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"inside": STOPPED}
        child.send_signal(signal.SIGSTOP)
        yield
        child.send_signal(signal.SIGCONT)
        assert len(json.loads(child.stdout.readline())["codes"]) == STOPPED
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def _sockets(house: House) -> int:
    """Return how many sockets the server has open."""
    return sum(_is_socket(entry) for entry in Path(f"/proc/{house.service.pid}/fd").iterdir())


def _is_socket(entry: Path) -> bool:
    try:
        return str(entry.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False
