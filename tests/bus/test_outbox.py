"""The outbox against a list: nothing is lost, doubled or reordered, and the bounds hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire.bus.outbox import Outbox

FRAMES = st.lists(st.binary(max_size=12), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), FRAMES),
        st.tuples(st.just("take"), st.tuples(st.integers(1, 8), st.integers(1, 40))),
        st.tuples(st.just("confirm"), st.none()),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_any_sequence_of_steps(steps: list[tuple[str, object]]) -> None:
    """Queue and flight are what a pair of lists would be, and counts and bytes agree with them at every step."""
    outbox = Outbox(max_messages=10, max_bytes=60)
    queue: list[bytes] = []
    flight: list[bytes] = []
    for step, argument in steps:
        if step == "offer":
            assert isinstance(argument, list)
            after = [*queue, *flight, *argument]
            fits = len(after) <= 10 and sum(map(len, after)) <= 60
            assert outbox.offer(argument) is fits
            queue += argument if fits else []
        elif step == "take":
            assert isinstance(argument, tuple)
            count, size = argument
            taken = outbox.take(count, size)
            assert taken == queue[: len(taken)]
            assert len(taken) <= count
            assert bool(taken) == bool(queue)
            assert sum(map(len, taken)) <= size or len(taken) == 1
            if len(taken) < min(count, len(queue)):  # it stopped early because of the bytes, and only then
                assert sum(map(len, queue[: len(taken) + 1])) > size
            queue, flight = queue[len(taken) :], flight + taken
        elif step == "confirm" and flight:
            outbox.confirm()
            flight.pop(0)
        elif step == "clear":
            assert outbox.clear() == (len(queue), len(flight))
            queue, flight = [], []
        assert (outbox.queued, outbox.in_flight, len(outbox)) == (len(queue), len(flight), len(queue) + len(flight))
        assert outbox.bytes == sum(map(len, queue + flight))


def test_a_frame_above_a_chunk_goes_alone() -> None:
    """A message larger than one round trip's share is still sent, on its own."""
    outbox = Outbox(max_messages=10, max_bytes=1_000)
    assert outbox.offer([b"x" * 500, b"y"])
    assert outbox.take(10, 100) == [b"x" * 500]
    assert outbox.take(10, 100) == [b"y"]
    assert outbox.take(10, 100) == []


def test_a_refused_call_leaves_nothing() -> None:
    """All or nothing, by number and by bytes; what is there stays."""
    outbox = Outbox(max_messages=3, max_bytes=10)
    assert outbox.offer([b"aa", b"bb"])
    assert not outbox.offer([b"c", b"d"])
    assert not outbox.offer([b"x" * 7])
    assert outbox.offer([b"x" * 6])
    assert outbox.take(10, 100) == [b"aa", b"bb", b"x" * 6]
