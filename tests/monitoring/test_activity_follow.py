"""Which rows are new: any order of coming to sight, each once."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st

from tidewire.monitoring.activity_follow import SETTLE_S, Followed


@example(1549, 27, 7)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 20))
def test_every_row_is_new_exactly_once(seed: int, count: int, known: int) -> None:
    """Rows come to sight late and out of order, looks fail now and then: each is told once, and none from before."""
    chance = random.Random(seed)
    before = [n for n in range(1, known + 1) if chance.random() < 0.8]
    followed, now, told, failures = Followed(), 1000.0, list[int](), 0
    followed.begin(before, 0, now)
    coming = sorted((now + n + chance.random() * SETTLE_S * 0.9, n) for n in range(known + 1, known + count + 1))
    visible = set(before)
    while coming or failures:
        now += chance.choice((0.1, 1.0, 20.0))
        while coming and coming[0][0] <= now:
            visible.add(coming.pop(0)[1])
        fresh = followed.take([n for n in sorted(visible) if n > followed.floor], now)
        assert fresh == sorted(fresh)
        failures = int(bool(fresh) and chance.random() < 0.2)
        if not failures:
            followed.told(fresh, now)
            told += fresh
    assert sorted(told) == list(range(known + 1, known + count + 1))


def test_the_memory_is_bounded() -> None:
    """What no transaction can be under way for any more is forgotten, and still not new."""
    followed = Followed()
    followed.begin([], 0, 0.0)
    for n in range(1, 1001):
        assert followed.take(range(max(1, n - 50), n + 1), float(n)) == [n]
        followed.told([n], float(n))
    assert followed.floor >= 1000 - SETTLE_S - 3
    assert len(followed._seen) <= SETTLE_S + 3
