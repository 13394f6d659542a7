"""What a single process remembers of publishes: for five minutes, so many, each room and each name on its own."""

from __future__ import annotations

from tidewire.hub.repeat import LIFE_S, Repeats


def test_an_answer_is_kept_for_its_time_and_its_room() -> None:
    """The same name in another room is another publish; after five minutes it is forgotten."""
    repeats = Repeats()
    repeats.remember("app:a", "1/x", b"one", 0.0)
    assert repeats.recall("app:a", "1/x", LIFE_S - 1) == b"one"
    assert repeats.recall("app:b", "1/x", 1.0) is None
    assert repeats.recall("app:a", "2/x", 1.0) is None
    assert repeats.recall("app:a", "1/x", LIFE_S) is None
    assert (len(repeats), repeats.repeated) == (0, 1)


def test_the_oldest_answer_goes_first() -> None:
    """However many publishes: bounded, and the newest are kept."""
    repeats = Repeats(answers_max=3)
    for number in range(5):
        repeats.remember("app:a", str(number), b"%d" % number, float(number))
    assert len(repeats) == 3
    assert [repeats.recall("app:a", str(number), 5.0) for number in range(5)] == [None, None, b"2", b"3", b"4"]
