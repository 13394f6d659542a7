"""Whatever the network does: each (epoch, offset) at most once, in order, or a Reset says that something is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.client_driver import Run
from tests.support.client_script import drive
from tests.support.client_talk import ROOMS
from tidewire.client.event import Message, Reset, RoomEntered

NAMES = list(ROOMS)


def _steps(*weighted: tuple[int, str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(*(st.tuples(st.just(name), value) for weight, name, value in weighted for _ in range(weight)))


# Mostly things go well for a while: a run of bad luck alone never gets to the interesting states.
step = _steps(
    (4, "publish", st.sampled_from(NAMES)),
    (4, "go", st.integers(1, 12)),
    (3, "down", st.integers(1, 4)),
    (2, "up", st.integers(1, 4)),
    (1, "wait", st.sampled_from([10, 700, 40_000])),
    (2, "cut", st.sampled_from([1006, 4000, 4003, 4004])),
    (1, "restart", st.none()),
    (1, "trim", st.sampled_from(NAMES)),
    (2, "gap", st.sampled_from(NAMES)),
    (1, "conflate", st.just("market:X")),
    (1, "pause", st.sampled_from(NAMES)),
    (1, "resume", st.sampled_from(NAMES)),
    (1, "again", st.sampled_from(NAMES)),
    (2, "repeat", st.sampled_from(NAMES)),
    # In a `latest` room a jump is no fault, so a server that forgets there cannot be found out.
    (2, "skip", st.sampled_from(["app:a", "user:1"])),
    (1, "lose", st.none()),
    (1, "request", st.none()),
)


def check(run: Run, name: str) -> None:
    """Check what a room's consumer was given, from its last entry on."""
    seen = run.seen.get(name, [])
    stays: list[list[Any]] = [[]]
    for event in seen:
        if event == "ended":
            stays.append([])
        else:
            stays[-1].append(event)
    for stay in stays:
        before: Message | Reset | RoomEntered | None = None
        for event in stay:
            if isinstance(event, Message) and before is not None:
                assert event.offset is not None
                assert before.offset is not None
                if not isinstance(before, Reset) or ROOMS[name] == "lossless":
                    assert event.epoch == before.epoch
                    assert event.offset > before.offset
                if ROOMS[name] == "lossless":
                    assert event.offset == before.offset + 1
            # Only the first entry may begin anew without a Reset.
            first = before is None and isinstance(event, RoomEntered) and ROOMS[name] == "lossless"
            if first or isinstance(event, Message | Reset):
                before = event


def converged(run: Run, name: str) -> None:
    """Check that the consumer ends with what the room has, unless it never had anything to go on from."""
    stay = []
    for event in run.seen.get(name, []):
        stay = [] if event == "ended" else [*stay, event]
    room = run.hub.rooms[name]
    track = run.recorder.session.rooms.get(name)
    assert track is not None
    assert track.since is not None
    assert (track.since.epoch, track.since.offset) == (room.epoch, room.offset)
    held: dict[int, int] = {}
    for event in stay:
        if isinstance(event, Reset):
            held.clear()
        elif isinstance(event, Message):
            assert isinstance(event.data, dict)
            held[int(str(event.data["key"]))] = int(str(event.data["n"]))
    if room.delivery == "latest":
        assert held == {key: offset for key, (offset, _) in room.newest.items()}


@settings(max_examples=200, deadline=None)
@given(script=st.lists(step, min_size=25, max_size=80), batch=st.booleans(), with_token=st.booleans())
def test_every_room_is_in_order_or_says_so(script: list[tuple[str, Any]], batch: bool, with_token: bool) -> None:
    """No interleaving of frames, cuts, gaps, restarts and server faults loses, doubles or reorders silently."""
    run = Run(ROOMS, batch=batch, with_token=with_token)
    run.do("start")
    for name in NAMES:
        run.do("subscribe", name, None, False)
    run.settle()
    drive(run, script)
    for name in NAMES:
        run.do("resume", name)
    run.cut()
    run.settle()
    for name in NAMES:
        run.hub.publish(name)
    run.settle()
    for name in NAMES:
        check(run, name)
        converged(run, name)


# The last answer of all is lost: only a later message, or silence, can tell.
LOST_ANSWER = [("request", None), ("go", 1), ("go", 1), ("lose", None)]


@settings(max_examples=50, deadline=None)
@given(script=st.lists(step, min_size=10, max_size=60))
@example(script=[("request", None), ("request", None), *LOST_ANSWER])
def test_every_request_is_settled_once(script: list[tuple[str, Any]]) -> None:
    """A request ends with an answer or a named error, never with silence, and what failed as unsent was not sent."""
    run = Run(ROOMS, batch=True)
    run.do("start")
    drive(run, script)
    run.settle()
    # As in life something comes later, so that a hole at the very end is seen.
    run.hub.publish("user:1")
    run.settle()
    asked = [s["args"][0] for s in run.recorder.steps if s["call"] == "request"]
    assert set(asked) == set(run.settled)
    run.do("stop")
    assert set(asked) == set(run.settled)
