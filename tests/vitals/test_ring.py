"""The ring of readings against a plain model of it, and counters that begin anew."""

from __future__ import annotations

from math import isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.sample import Sample
from tidewire.vitals.ring import Ring

_READING = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1e9), max_size=4)


def samples(values: dict[str, float]) -> list[Sample]:
    """Return one figure without labels for each name."""
    return [Sample(name, value) for name, value in values.items()]


@given(st.lists(_READING, max_size=30), st.integers(1, 10))
def test_what_was_read_is_what_is_remembered(readings: list[dict[str, float]], length: int) -> None:
    """The newest readings, each figure at its time, holes where it was not there."""
    ring = Ring(length)
    for at, reading in enumerate(readings):
        ring.record(float(at), samples(reading))
    times, lines = ring.lines("abcd", 0.0)
    kept = list(enumerate(readings))[-length:]
    assert times == [float(at) for at, _ in kept]
    for line in lines:
        expected = [reading.get(line.name, nan) for _, reading in kept]
        assert [None if isnan(value) else value for value in line.values] == [
            None if isnan(value) else value for value in expected
        ]
    assert {line.name for line in lines} == {name for reading in readings for name in reading}


def test_only_what_is_asked_for_is_returned() -> None:
    """Other names and older readings stay away."""
    ring = Ring(10)
    for at in range(5):
        ring.record(float(at), samples({"a": at, "b": -at}))
    times, lines = ring.lines(["b"], 3.0)
    assert (times, [(line.name, line.values) for line in lines]) == ([3.0, 4.0], [("b", [-3.0, -4.0])])


def test_an_increase_counts_what_came_after_the_reading_before_it() -> None:
    """From the last reading before the window to now, over the seconds that this really is."""
    ring = Ring(10)
    for at, value in enumerate((10, 13, 17, 30)):
        ring.record(5.0 * at, samples({"a": value}))
    assert ring.increases(["a"], 6.0, 17.0, samples({"a": 35})) == ([Sample("a", 22.0)], 12.0)


def test_a_counter_that_begins_anew_is_no_fall() -> None:
    """After a restart of what counts, what it has counted since is an increase."""
    ring = Ring(10)
    for at, value in enumerate((100, 110, 4)):
        ring.record(float(at), samples({"a": value}))
    assert ring.increases(["a"], 0.0, 3.0, samples({"a": 9})) == ([Sample("a", 19.0)], 3.0)


def test_a_counter_that_appears_was_zero_unless_it_is_counted_elsewhere() -> None:
    """The first error of a kind is an increase of one; a far counter's first value may be years old."""
    ring = Ring(10)
    ring.record(0.0, [])
    ring.record(1.0, samples({"near": 1, "far": 1e6}))
    rises, _ = ring.increases(["near", "far"], 0.0, 2.0, samples({"near": 3, "far": 1e6 + 5}), far={"far"})
    assert {rise.name: rise.value for rise in rises} == {"near": 3.0, "far": 5.0}


def test_labels_tell_figures_apart() -> None:
    """One name with two labels is two lines, also when the second comes later."""
    ring = Ring(10)
    get, put = (("method", "GET"),), (("method", "PUT"),)
    ring.record(0.0, [Sample("n", 1.0, get)])
    ring.record(1.0, [Sample("n", 2.0, get), Sample("n", 5.0, put)])
    _, lines = ring.lines(["n"], 0.0)
    assert lines[0].labels == get
    assert lines[0].values == [1.0, 2.0]
    assert lines[1].labels == put
    assert isnan(lines[1].values[0])
    assert lines[1].values[1] == 5.0


def test_it_is_bounded() -> None:
    """More figures than there is room for are counted, not kept; those that had a place keep it."""
    ring = Ring(2, max_series=3)
    for at in range(5):
        ring.record(float(at), samples({"a": at, "b": at, f"x{at}": 1.0}))
    times, lines = ring.lines(["a", "b", "x4"], 0.0)
    assert (times, [line.name for line in lines]) == ([3.0, 4.0], ["a", "b"])
    assert (len(ring), ring.series, ring.left_out) == (2, 3, 4)


def test_a_reading_that_is_not_later_is_refused() -> None:
    """The same moment twice would divide by zero in whoever makes a rate of it."""
    ring = Ring(5)
    ring.record(1.0, samples({"a": 1}))
    ring.record(1.0, samples({"a": 2}))
    assert ring.lines(["a"], 0.0)[1][0].values == [1.0]
