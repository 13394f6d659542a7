"""All viewers of one process, and the work they share. Pure; it must not know sockets, clocks or encodings.

The cost of a tick does not depend on the number of viewers: ticks are matched once per *distinct filter*, counts and
rings belong to the filter, and a pause is two remembered numbers. Per flush, viewers in the same situation (filter,
mode, paused lanes) get one and the same Delivery, so that it is encoded once.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.tick_filter import CompiledFilter, TickFilter
from tidewire.monitoring.viewer import Hold, Options, Viewer, conflate

# What a resume hands over per lane (contract.md section 4).
HANDED_OVER = 50
# Ticks waiting for one flush; above it only the newest per symbol stay, which the flush would do anyway.
MAX_PENDING = 5_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one flush has for viewers in the same situation.

    Attributes:
        viewers: Who gets it.
        ticks: Oldest first, within the budget.
        dropped: Ticks of the same window that did not fit, per lane.
    """

    viewers: list[Viewer]
    ticks: Sequence[Seen]
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Resumed:
    """Answer to a resume, per lane: the newest ticks, newest first, and how many others were skipped."""

    ticks: dict[str, list[Seen]]
    skipped: dict[str, int]


def _ring() -> deque[Seen]:
    return deque(maxlen=HANDED_OVER)


@dataclass(slots=True)
class _Group:
    """Viewers with one filter. ``passed`` counts what it let through; ``flushed`` is ``passed`` at the last flush."""

    compiled: CompiledFilter | None
    members: dict[str, Viewer] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    flushed: Counter[str] = field(default_factory=Counter)
    recent: defaultdict[str, deque[Seen]] = field(default_factory=lambda: defaultdict(_ring))
    pending: list[Seen] = field(default_factory=list)

    def absorb(self, window: Sequence[Seen]) -> None:
        passes = None if self.compiled is None else self.compiled.passes
        chosen = window if passes is None else [seen for seen in window if passes(seen)]
        passed, recent = self.passed, self.recent
        for seen in chosen:
            lane = seen.lane
            passed[lane] += 1
            recent[lane].append(seen)
        self.pending.extend(chosen)
        if len(self.pending) > MAX_PENDING:
            self.pending = list(conflate(self.pending, MAX_PENDING // 2)[0])

    def waiting(self, viewer: Viewer, lane: str) -> int:
        """How many ticks of ``lane`` passed for this viewer since the last flush."""
        mark = viewer.marks.get(lane)
        return self.passed[lane] - (self.flushed[lane] if mark is None else mark[1])

    def select(self, viewer: Viewer) -> tuple[Sequence[Seen], dict[str, int]]:
        """Return this flush's ticks and drops for ``viewer`` and all in its situation."""
        ticks: Sequence[Seen] = self.pending
        if viewer.holds or viewer.marks:
            marks, holds = viewer.marks, viewer.holds
            ticks = [s for s in ticks if s.lane not in holds and (s.lane not in marks or s.id > marks[s.lane][0])]
        shown, _ = conflate(ticks, viewer.budget)
        counts = Counter(seen.lane for seen in shown)
        dropped = {
            lane: missing
            for lane in self.passed
            if lane not in viewer.holds and (missing := self.waiting(viewer, lane) - counts[lane]) > 0
        }
        return shown, dropped


class Audience:
    """The viewers. Call ``absorb`` with all ticks so far before any other method, so that their order is kept."""

    def __init__(self) -> None:
        self._viewers: dict[str, Viewer] = {}
        self._groups: dict[TickFilter | None, _Group] = {}
        self._last_id = 0
        self._flushed_id = 0

    def __len__(self) -> int:
        return len(self._viewers)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(list(self._viewers.values()))

    def get(self, key: str) -> Viewer | None:
        """Return the viewer named ``key``, if it is here."""
        return self._viewers.get(key)

    def add(self, key: str, options: Options | None = None) -> Viewer:
        """Let a viewer in; it gets ticks that arrive from now on."""
        viewer = Viewer(key, options or Options())
        self._viewers[key] = viewer
        self._join(viewer)
        return viewer

    def remove(self, key: str) -> Viewer | None:
        """Let a viewer go. Idempotent."""
        viewer = self._viewers.pop(key, None)
        if viewer is not None:
            self._leave(viewer)
        return viewer

    def absorb(self, window: Sequence[Seen]) -> None:
        """Take new ticks, oldest first."""
        if window:
            self._last_id = window[-1].id
            for group in self._groups.values():
                group.absorb(window)

    def flush(self) -> list[Delivery]:
        """Return what everybody gets now; every tick that does not fit is counted as dropped."""
        deliveries = []
        for group in self._groups.values():
            if group.pending:
                deliveries += self._flush_group(group)
        self._flushed_id = self._last_id
        return deliveries

    def set_options(self, viewer: Viewer, options: Options) -> None:
        """Change mode and filter. Ticks not yet sent under the old filter count as dropped, held ones as skipped."""
        if options.filter == viewer.options.filter:
            viewer.options = options
            return
        self._cover(viewer)
        group = self._leave(viewer)
        viewer.purge()
        viewer.count_dropped(
            {
                lane: waiting
                for lane in group.passed
                if lane not in viewer.holds and (waiting := group.waiting(viewer, lane)) > 0
            }
        )
        for lane, hold in viewer.holds.items():
            hold.carried += group.passed[lane] - hold.base
        viewer.options = options
        self._join(viewer)
        group = self._group(viewer)
        for lane, hold in viewer.holds.items():
            hold.base, hold.after_id = group.passed[lane], self._last_id

    def pause(self, viewer: Viewer, lanes: Iterable[str], now: float, *, later_too: bool = False) -> None:
        """Hold ``lanes`` for this viewer, with ``later_too`` also lanes that appear later. ``now`` is Unix seconds."""
        chosen = list(lanes)
        self._hold(viewer, chosen, now)
        if later_too and viewer.paused_all_since is None:
            viewer.paused_all_since = now
        self._cover(viewer)
        viewer.purge(None if later_too else chosen)

    def resume(self, viewer: Viewer, lanes: Iterable[str] | None) -> Resumed:
        """End the pause of ``lanes`` (None: all) and hand over the newest held ticks."""
        self._cover(viewer)
        group = self._group(viewer)
        viewer.paused_all_since = None
        ticks, skipped = {}, {}
        for lane in list(viewer.holds if lanes is None else lanes):
            hold = viewer.holds.pop(lane, None)
            if hold is None:
                continue
            ticks[lane] = [seen for seen in reversed(group.recent[lane]) if seen.id > hold.after_id]
            skipped[lane] = hold.carried + group.passed[lane] - hold.base - len(ticks[lane])
            if group.passed[lane] != group.flushed[lane]:
                viewer.marks[lane] = (self._last_id, group.passed[lane])
        return Resumed(ticks, skipped)

    def paused(self, viewer: Viewer) -> dict[str, float]:
        """Return since when each paused lane is paused, Unix seconds."""
        self._cover(viewer)
        return {lane: hold.since for lane, hold in viewer.holds.items()}

    def held(self, viewer: Viewer) -> dict[str, int]:
        """Return how many ticks each paused lane holds back from this viewer."""
        self._cover(viewer)
        passed = self._group(viewer).passed
        return {lane: hold.carried + passed[lane] - hold.base for lane, hold in viewer.holds.items()}

    def compiled(self, viewer: Viewer) -> CompiledFilter | None:
        """Return the viewer's filter ready to be asked; None lets everything through."""
        return self._group(viewer).compiled

    def statistics(self) -> dict[str, int]:
        """Return the sizes of everything that is kept."""
        return {
            "viewers": len(self._viewers),
            "filters": len(self._groups),
            "pending": sum(len(group.pending) for group in self._groups.values()),
            "recent": sum(len(ring) for group in self._groups.values() for ring in group.recent.values()),
            "backlog": sum(viewer.backlog_size for viewer in self._viewers.values()),
            "shown": sum(viewer.shown for viewer in self._viewers.values()),
            "dropped": sum(viewer.dropped.total() for viewer in self._viewers.values()),
        }

    def _flush_group(self, group: _Group) -> list[Delivery]:
        situations: dict[object, list[Viewer]] = {}
        for viewer in group.members.values():
            self._cover(viewer)
            situation = (viewer.options.batch, frozenset(viewer.holds), tuple(sorted(viewer.marks.items())))
            situations.setdefault(situation, []).append(viewer)
        deliveries = []
        for viewers in situations.values():
            ticks, dropped = group.select(viewers[0])
            if ticks or dropped:
                deliveries.append(Delivery(viewers, ticks, dropped))
            for viewer in viewers:
                viewer.count_dropped(dropped)
                viewer.marks.clear()
        group.pending = []
        group.flushed = Counter(group.passed)
        return deliveries

    def _group(self, viewer: Viewer) -> _Group:
        return self._groups[viewer.options.filter]

    def _join(self, viewer: Viewer) -> None:
        wanted = viewer.options.filter
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = _Group(None if wanted is None else CompiledFilter(wanted))
        group.members[viewer.key] = viewer
        viewer.marks = {
            lane: (self._last_id, passed) for lane, passed in group.passed.items() if passed != group.flushed[lane]
        }

    def _leave(self, viewer: Viewer) -> _Group:
        group = self._group(viewer)
        del group.members[viewer.key]
        if not group.members:
            del self._groups[viewer.options.filter]
        return group

    def _cover(self, viewer: Viewer) -> None:
        """While everything is paused, pause lanes that have appeared since."""
        since = viewer.paused_all_since
        if since is None:
            return
        self._hold(viewer, self._group(viewer).passed, since)

    def _hold(self, viewer: Viewer, lanes: Iterable[str], since: float) -> None:
        flushed = self._group(viewer).flushed
        for lane in lanes:
            if lane not in viewer.holds:
                after_id, base = viewer.marks.pop(lane, (self._flushed_id, flushed[lane]))
                viewer.holds[lane] = Hold(since=since, base=base, after_id=after_id)
