"""The last minutes of any number of figures, read all at once at equal distances. Pure: time is an argument.

Each reading is one row of numbers; a figure that was not there is a hole (NaN). Bounded: ``length`` readings, the
oldest dropped, and ``max_series`` figures, further ones counted and left out. It must not know what figures mean.
Source: pages.md ("charts start full"); Prometheus manual, "increase()".
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterable
from math import isnan, nan

import msgspec

from tidewire.core.sample import Labels, Sample

# A node of one operator has a few hundred figures; this many cost 7 MB for a quarter of an hour.
MAX_SERIES = 5_000


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One figure over time; ``values`` stand beside the times of the whole. NaN: it was not there."""

    name: str
    labels: Labels
    values: list[float]


class Ring:
    """See the module's text."""

    def __init__(self, length: int, max_series: int = MAX_SERIES) -> None:
        self._max_series = max_series
        self._places: dict[tuple[str, Labels], int] = {}
        self._named: dict[str, list[tuple[Labels, int]]] = {}
        self._rows: deque[tuple[float, array[float]]] = deque(maxlen=length)
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def series(self) -> int:
        """How many figures have a place."""
        return len(self._places)

    def record(self, at: float, samples: Iterable[Sample]) -> None:
        """Keep one reading; a reading that is not later than the last one (the clock was set back) is refused."""
        if self._rows and at <= self._rows[-1][0]:
            return
        row = array("d", [nan]) * len(self._places)
        for sample in samples:
            place = self._places.get((sample.name, sample.labels))
            if place is None:
                if len(self._places) >= self._max_series:
                    self.left_out += 1
                    continue
                place = self._places[sample.name, sample.labels] = len(self._places)
                self._named.setdefault(sample.name, []).append((sample.labels, place))
                row.append(nan)
            row[place] = sample.value
        self._rows.append((at, row))

    def lines(self, names: Collection[str], since: float) -> tuple[list[float], list[Line]]:
        """Return the times from ``since`` on, oldest first, and the named figures at each."""
        rows = [row for row in self._rows if row[0] >= since]
        found = [
            Line(name, labels, [_at(row, place) for _, row in rows])
            for name in names
            for labels, place in self._named.get(name, ())
        ]
        return [at for at, _ in rows], found

    def increases(
        self, names: Collection[str], since: float, now: float, samples: Iterable[Sample], *, far: Collection[str] = ()
    ) -> tuple[list[Sample], float]:
        """Return by how much counters have risen, and in how many seconds, from the last reading before ``since``.

        Args:
            samples: What they are now.
            far: Names whose first value is no increase; of the others a figure that was not there was zero.
        """
        rows = list(self._rows)
        first = max((i for i, (at, _) in enumerate(rows) if at <= since), default=0)
        rows = rows[first:]
        if not rows:
            return [], 0.0
        wanted, rises = set(names), list[Sample]()
        for sample in samples:
            if sample.name in wanted:
                place = self._places.get((sample.name, sample.labels))
                values = [nan] * len(rows) if place is None else [_at(row, place) for _, row in rows]
                rise = _rise([*values, sample.value], starts_at_zero=sample.name not in far)
                rises.append(Sample(sample.name, rise, sample.labels))
        return rises, now - rows[0][0]


def _at(row: array[float], place: int) -> float:
    # A row is as long as there were figures when it was read.
    return row[place] if place < len(row) else nan


def _rise(values: list[float], *, starts_at_zero: bool) -> float:
    """Return the sum of all rises; a fall is a counter that began anew."""
    rise, before = 0.0, 0.0 if starts_at_zero and isnan(values[0]) else nan
    for value in values:
        if isnan(value):
            continue
        if not isnan(before):
            rise += value - before if value >= before else value
        before = value
    return rise
