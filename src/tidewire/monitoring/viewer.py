"""One viewer's own state: options, pauses, drop counts, and what to do when it reads too slowly. Pure.

It must not know sockets or other viewers; what viewers share is in ``audience``. Every tick that passed the viewer's
filter while it watched ends in exactly one of: shown, dropped, handed over at resume, skipped at resume, still held,
still in the backlog, not flushed yet.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.tick_filter import TickFilter

# A tick waits for the next flush, so this is nearly all of the way from publish to page: with it p99 stays under 50 ms.
# What it costs, against 100 ms and 50 ms, is in docs/performance.md.
FLUSH_EVERY_S = 0.04
# 2,000 ticks/s, about 450 KB/s, is more than a person or a page can follow.
BATCH_BUDGET = 80
# tick_update is at most 100/s per viewer (contract.md section 4) and flushes are at least FLUSH_EVERY_S apart.
SINGLE_BUDGET = 4
SOFT_QUEUE = 64
HARD_QUEUE = 512
SLOW_FOR_S = 10.0


class Options(msgspec.Struct, frozen=True):
    """What ``set_options`` sets."""

    batch: bool = False
    filter: TickFilter | None = None


class Verdict(enum.Enum):
    """What to do with a viewer's ticks at one flush."""

    SEND = "send"
    # Over the soft mark: keep the newest per symbol, send nothing.
    HOLD = "hold"
    # As HOLD, and tell the viewer: it has just become slow.
    TELL = "tell"
    CUT = "cut"


@dataclass(slots=True)
class Hold:
    """One paused lane.

    Attributes:
        since: Unix seconds.
        base: The filter's count of passed ticks on the lane when the pause began.
        after_id: Ticks up to this id were dealt with before the pause.
        carried: Ticks held under filters that the viewer has replaced since.
    """

    since: float
    base: int
    after_id: int
    carried: int = 0


@dataclass(slots=True)
class Viewer:
    """State of one viewer.

    Attributes:
        holds: Paused lanes.
        paused_all_since: Set while everything is paused, lanes that appear later included.
        marks: For lanes on which the viewer joined in the middle of a flush window: (last id, passed count) then.
        dropped: Ticks skipped for this viewer, per lane, since it connected.
        shown: Ticks sent.
    """

    key: str
    options: Options = field(default_factory=Options)
    holds: dict[str, Hold] = field(default_factory=dict)
    paused_all_since: float | None = None
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    shown: int = 0
    _backlog: dict[str, Seen] = field(default_factory=dict)
    _untold: int = 0
    _conflating: bool = False
    _above_since: float | None = None

    @property
    def budget(self) -> int:
        """How many ticks one flush may carry."""
        return BATCH_BUDGET if self.options.batch else SINGLE_BUDGET

    @property
    def has_backlog(self) -> bool:
        """Whether ticks or drop counts wait for the viewer to catch up."""
        return bool(self._backlog) or bool(self._untold)

    @property
    def backlog_size(self) -> int:
        """How many ticks wait for the viewer to catch up; at most BATCH_BUDGET."""
        return len(self._backlog)

    def judge(self, queue_size: int, mono: float) -> Verdict:
        """Decide from the number of packets the viewer has not read yet. ``mono`` is monotonic seconds."""
        if queue_size > HARD_QUEUE:
            return Verdict.CUT
        if queue_size <= SOFT_QUEUE:
            self._above_since = None
            # Half the mark, so that a viewer at the edge is not told at every flush.
            if queue_size <= SOFT_QUEUE // 2:
                self._conflating = False
            return Verdict.HOLD if self._conflating else Verdict.SEND
        if self._above_since is None:
            self._above_since = mono
        if mono - self._above_since >= SLOW_FOR_S:
            return Verdict.CUT
        told, self._conflating = self._conflating, True
        return Verdict.HOLD if told else Verdict.TELL

    def count_dropped(self, dropped: Mapping[str, int]) -> None:
        """Note ticks skipped for this viewer, per lane; the next batch says how many."""
        for lane, count in dropped.items():
            self.dropped[lane] += count
            self._untold += count

    def defer(self, ticks: Iterable[Seen]) -> None:
        """Keep ticks for later, newest per symbol, oldest symbols dropped beyond BATCH_BUDGET."""
        for seen in ticks:
            older = self._backlog.pop(seen.tick.symbol, None)
            if older is not None:
                self._drop(older)
            self._backlog[seen.tick.symbol] = seen
        while len(self._backlog) > BATCH_BUDGET:
            self._drop(self._backlog.pop(next(iter(self._backlog))))

    def take(self, ticks: Sequence[Seen]) -> tuple[Sequence[Seen], int]:
        """Return what to send now, oldest first, and how many were skipped since the last time.

        Without a backlog ``ticks`` itself is returned, so that the caller can encode it once for many viewers.
        """
        if self._backlog:
            merged = [*self._backlog.values(), *ticks]
            self._backlog.clear()
            ticks, left = conflate(merged, self.budget)
            for seen in left:
                self._drop(seen)
        self.shown += len(ticks)
        untold, self._untold = self._untold, 0
        return ticks, untold

    def purge(self, lanes: Iterable[str] | None = None) -> None:
        """Drop the backlog of ``lanes`` (None: all): the viewer paused them or wants something else."""
        gone = None if lanes is None else set(lanes)
        for symbol, seen in list(self._backlog.items()):
            if gone is None or seen.lane in gone:
                del self._backlog[symbol]
                self._drop(seen)

    def _drop(self, seen: Seen) -> None:
        self.dropped[seen.lane] += 1
        self._untold += 1


def conflate(ticks: Sequence[Seen], budget: int) -> tuple[Sequence[Seen], list[Seen]]:
    """Return at most ``budget`` of ``ticks`` and the rest.

    Within the budget everything stays. Above it only the newest per symbol is left, then only the newest of those.
    Order: oldest first, as given.
    """
    if len(ticks) <= budget:
        return ticks, []
    newest = {seen.tick.symbol: seen for seen in ticks}
    kept = sorted(newest.values(), key=_by_id)[-budget:]
    ids = {seen.id for seen in kept}
    return kept, [seen for seen in ticks if seen.id not in ids]


def _by_id(seen: Seen) -> int:
    return seen.id
