"""Viewers: what each is shown, owed and never owed, in any order of doing things."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.monitoring.ticks import Ticks
from tidewire.monitoring.audience import HANDED_OVER, MAX_PENDING, Audience
from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.tick_filter import TickFilter
from tidewire.monitoring.viewer import BATCH_BUDGET, FLUSH_EVERY_S, SINGLE_BUDGET, Options, Verdict, Viewer, conflate

LANES = ["connection_1", "connection_2", "unassigned"]
FILTERS = [None, TickFilter(symbols=("A*",)), TickFilter(types=("T",))]


class Books:
    """What must have become of every tick of one viewer, kept by a naive accountant."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.shown: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.seen_ids: list[int] = []


class AudienceMachine(RuleBasedStateMachine):
    """Ticks, pauses, filters, modes, slow spells and flushes in any order; the accounts always balance."""

    @initialize()
    def open(self) -> None:
        """Two viewers from the start."""
        self.ticks, self.audience, self.mono = Ticks(), Audience(), 0.0
        self.fresh: list[Seen] = []
        self.books: dict[str, Books] = {}
        self.slow: dict[str, bool] = {}
        for key in ("one", "two"):
            self.join(key)

    @rule(key=st.sampled_from(["one", "two", "three"]))
    def join(self, key: str) -> None:
        """A viewer comes (again)."""
        self.sync()
        if self.audience.get(key) is None:
            self.audience.add(key, Options(batch=True))
            self.books[key] = Books()
            self.slow[key] = False

    @rule(key=st.sampled_from(["one", "three"]))
    def leave(self, key: str) -> None:
        """A viewer goes."""
        self.sync()
        self.audience.remove(key)
        self.books.pop(key, None)

    @rule(
        symbols=st.lists(st.sampled_from(["A1", "A2", "B"]), min_size=1, max_size=30),
        lane=st.sampled_from([*LANES[:2], None]),
        event=st.sampled_from(["T", "A"]),
        times=st.sampled_from([1, 1, 1, 20]),
    )
    def arrive(self, symbols: list[str], lane: str | None, event: str, times: int) -> None:
        """Ticks arrive."""
        for number in range(times):
            for symbol in symbols:
                # Many different symbols in a long burst, so that conflation has to cut.
                name = symbol if times == 1 else f"{symbol}{number}"
                seen = self.ticks.make(name, lane, event=event)
                self.fresh.append(seen)
                for key, books in self.books.items():
                    viewer = self.viewer(key)
                    wanted = self.audience.compiled(viewer)
                    if wanted is None or wanted.passes(seen):
                        books.passed[seen.lane] += 1

    @rule(key=st.sampled_from(["one", "two"]), lane=st.sampled_from([*LANES, None]))
    def pause(self, key: str, lane: str | None) -> None:
        """One lane or all."""
        self.sync()
        if viewer := self.audience.get(key):
            self.audience.pause(viewer, LANES if lane is None else [lane], 1.0, later_too=lane is None)

    @rule(key=st.sampled_from(["one", "two"]), lane=st.sampled_from([*LANES, None]))
    def resume(self, key: str, lane: str | None) -> None:
        """One lane or all; what is handed over counts as shown."""
        self.sync()
        if (viewer := self.audience.get(key)) is None:
            return
        before = self.audience.held(viewer)
        resumed = self.audience.resume(viewer, None if lane is None else [lane])
        books = self.books[key]
        for name, ticks in resumed.ticks.items():
            assert len(ticks) <= HANDED_OVER
            assert resumed.skipped[name] >= 0
            assert len(ticks) + resumed.skipped[name] == before[name]
            assert [seen.id for seen in ticks] == sorted((seen.id for seen in ticks), reverse=True)
            books.shown[name] += len(ticks)
            books.skipped[name] += resumed.skipped[name]
            books.seen_ids += [seen.id for seen in ticks]

    @rule(key=st.sampled_from(["one", "two"]), batch=st.booleans(), wanted=st.sampled_from(FILTERS))
    def set_options(self, key: str, batch: bool, wanted: TickFilter | None) -> None:
        """Another mode or filter."""
        self.sync()
        if viewer := self.audience.get(key):
            self.audience.set_options(viewer, Options(batch=batch, filter=wanted))

    @rule(key=st.sampled_from(["one", "two"]), slow=st.booleans())
    def slow_down(self, key: str, slow: bool) -> None:
        """The viewer stops reading, or has caught up."""
        self.slow[key] = slow

    @rule()
    def flush(self) -> None:
        """As the stream does it."""
        self.sync()
        served = set()
        for delivery in self.audience.flush():
            assert delivery.ticks or delivery.dropped
            for viewer in delivery.viewers:
                served.add(viewer.key)
                self.deliver(viewer, list(delivery.ticks))
        for viewer in self.audience:
            if viewer.has_backlog and viewer.key not in served:
                self.deliver(viewer, [])

    def deliver(self, viewer: Viewer, ticks: list[Seen]) -> None:
        """Send or defer."""
        verdict = viewer.judge(100 if self.slow[viewer.key] else 0, self.mono)
        if verdict is not Verdict.SEND:
            viewer.defer(ticks)
            return
        shown, _ = viewer.take(ticks)
        assert len(shown) <= viewer.budget
        books = self.books[viewer.key]
        for seen in shown:
            assert seen.lane not in viewer.holds
            wanted = self.audience.compiled(viewer)
            assert wanted is None or wanted.passes(seen)
            books.shown[seen.lane] += 1
        ids = [seen.id for seen in shown]
        assert ids == sorted(ids)
        books.seen_ids += ids

    def viewer(self, key: str) -> Viewer:
        """Return a viewer that must be there."""
        viewer = self.audience.get(key)
        assert viewer is not None
        return viewer

    def sync(self) -> None:
        """Bring the audience up to date."""
        window, self.fresh = self.fresh, []
        self.audience.absorb(window)

    @invariant()
    def nothing_is_shown_twice(self) -> None:
        """A tick reaches a viewer once at most."""
        for books in self.books.values():
            assert len(books.seen_ids) == len(set(books.seen_ids))

    @invariant()
    def everything_is_bounded(self) -> None:
        """Buffers have their sizes."""
        sizes = self.audience.statistics()
        assert sizes["pending"] <= MAX_PENDING * sizes["filters"]
        assert sizes["recent"] <= HANDED_OVER * len(LANES) * sizes["filters"]
        assert sizes["backlog"] <= BATCH_BUDGET * sizes["viewers"]
        assert sizes["filters"] <= sizes["viewers"]

    def teardown(self) -> None:
        """When everybody has caught up, every tick that passed is accounted for, lane by lane."""
        if not hasattr(self, "audience"):
            return
        self.slow = dict.fromkeys(self.slow, False)
        self.flush()
        for key, books in self.books.items():
            viewer = self.viewer(key)
            held = self.audience.held(viewer)
            for lane in LANES:
                told = books.shown[lane] + viewer.dropped[lane] + books.skipped[lane] + held.get(lane, 0)
                assert told == books.passed[lane], (key, lane)
            assert not viewer.backlog_size


AudienceMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAudience = AudienceMachine.TestCase
TestAudience.__doc__ = AudienceMachine.__doc__


def test_viewers_in_the_same_situation_share_one_delivery() -> None:
    """Ten watching admins are one selection, so that it is encoded once."""
    audience, ticks = Audience(), Ticks()
    for number in range(10):
        audience.add(str(number), Options(batch=True))
    audience.absorb([ticks.make() for _ in range(5)])
    (delivery,) = audience.flush()
    assert len(delivery.viewers) == 10
    assert delivery.viewers[0].take(delivery.ticks)[0] is delivery.ticks


def test_a_flush_over_budget_keeps_the_newest_per_symbol() -> None:
    """Single mode shows a few, the newest of each symbol, oldest first; the rest is counted."""
    audience, ticks = Audience(), Ticks()
    viewer = audience.add("one")
    audience.absorb([ticks.make(f"S{number % 12}") for number in range(36)])
    (delivery,) = audience.flush()
    assert [seen.id for seen in delivery.ticks] == list(range(37 - SINGLE_BUDGET, 37))
    assert delivery.dropped == {"connection_1": 36 - SINGLE_BUDGET}
    assert viewer.dropped == {"connection_1": 36 - SINGLE_BUDGET}


def test_single_mode_keeps_to_a_hundred_ticks_a_second() -> None:
    """However often flushes come, a viewer without batches gets at most 100 tick_update/s (contract.md section 4)."""
    assert SINGLE_BUDGET >= 1
    assert SINGLE_BUDGET / FLUSH_EVERY_S <= 100


def test_within_the_budget_nothing_is_conflated() -> None:
    """Two ticks of one symbol are both shown when there is room."""
    ticks = Ticks()
    window = [ticks.make("A"), ticks.make("A")]
    assert conflate(window, 2) == (window, [])


def test_pausing_everything_covers_lanes_that_appear_later() -> None:
    """A line that starts during the pause does not break through it."""
    audience, ticks = Audience(), Ticks()
    viewer = audience.add("one")
    audience.pause(viewer, ["connection_1"], 5.0, later_too=True)
    audience.absorb([ticks.make(lane="connection_2")])
    assert audience.flush() == []
    assert audience.held(viewer) == {"connection_1": 0, "connection_2": 1}
    assert audience.paused(viewer) == {"connection_1": 5.0, "connection_2": 5.0}


def test_a_slow_viewer_is_told_once_then_cut() -> None:
    """Over 64: told and conflated; ten seconds above, or over 512: cut; half of 64: all is well again."""
    viewer = Viewer("one")
    assert viewer.judge(64, 0.0) is Verdict.SEND
    assert viewer.judge(65, 1.0) is Verdict.TELL
    assert viewer.judge(70, 5.0) is Verdict.HOLD
    assert viewer.judge(40, 6.0) is Verdict.HOLD
    assert viewer.judge(65, 7.0) is Verdict.HOLD
    assert viewer.judge(65, 16.9) is Verdict.HOLD
    assert viewer.judge(32, 16.95) is Verdict.SEND
    assert viewer.judge(65, 17.0) is Verdict.TELL
    assert viewer.judge(65, 27.0) is Verdict.CUT
    assert Viewer("two").judge(513, 0.0) is Verdict.CUT


def test_an_enormous_window_stays_bounded_and_counted() -> None:
    """More ticks than a flush can carry are conflated at once, and none is forgotten in the counts."""
    audience, ticks = Audience(), Ticks()
    viewer = audience.add("one", Options(batch=True))
    for _ in range(4):
        audience.absorb([ticks.make(f"S{number}") for number in range(3_000)])
        assert audience.statistics()["pending"] <= MAX_PENDING
    (delivery,) = audience.flush()
    assert len(delivery.ticks) + viewer.dropped["connection_1"] == 12_000


def test_what_waited_for_the_flush_is_handed_over_at_resume() -> None:
    """Ticks that had arrived but were not sent when the pause began count as held and are not lost."""
    audience, ticks = Audience(), Ticks()
    viewer = audience.add("one", Options(batch=True))
    audience.absorb([ticks.make()])
    audience.flush()
    audience.absorb([ticks.make(), ticks.make()])
    audience.pause(viewer, ["connection_1"], 1.0)
    audience.absorb([ticks.make()])
    resumed = audience.resume(viewer, None)
    assert [seen.id for seen in resumed.ticks["connection_1"]] == [4, 3, 2]
    assert resumed.skipped == {"connection_1": 0}
    assert audience.flush() == []


def test_a_filter_set_during_a_pause_starts_the_hold_anew() -> None:
    """Only ticks that the new filter has seen are handed over; those held before count as skipped."""
    audience, ticks = Audience(), Ticks()
    audience.add("other", Options(batch=True, filter=TickFilter(symbols=("A*",))))
    viewer = audience.add("one", Options(batch=True))
    audience.pause(viewer, ["connection_1"], 1.0)
    audience.absorb([ticks.make("A"), ticks.make("A")])
    audience.set_options(viewer, Options(batch=True, filter=TickFilter(symbols=("A*",))))
    audience.absorb([ticks.make("A"), ticks.make("B")])
    assert audience.held(viewer) == {"connection_1": 3}
    resumed = audience.resume(viewer, None)
    assert [seen.id for seen in resumed.ticks["connection_1"]] == [3]
    assert resumed.skipped == {"connection_1": 2}


def test_a_pause_or_a_filter_empties_the_backlog() -> None:
    """What a slow viewer is still owed is not pushed into its pause or its new filter, but counted."""
    audience, ticks = Audience(), Ticks()
    viewer = audience.add("one", Options(batch=True))
    viewer.defer([ticks.make("A"), ticks.make("B", lane="connection_2")])
    audience.pause(viewer, ["connection_1"], 1.0)
    assert (viewer.backlog_size, viewer.dropped) == (1, {"connection_1": 1})
    audience.set_options(viewer, Options(batch=True, filter=TickFilter(types=("AM",))))
    assert (viewer.backlog_size, viewer.dropped) == (0, {"connection_1": 1, "connection_2": 1})
    assert viewer.take([]) == ([], 2)
    assert not viewer.has_backlog


def test_a_backlog_and_new_ticks_share_one_budget() -> None:
    """A viewer that has caught up gets one message of the usual size; the rest is counted."""
    ticks = Ticks()
    viewer = Viewer("one")
    viewer.defer([ticks.make(f"S{number}") for number in range(SINGLE_BUDGET)])
    shown, dropped = viewer.take([ticks.make("NEW")])
    assert [seen.id for seen in shown] == list(range(2, SINGLE_BUDGET + 2))
    assert dropped == 1
    assert viewer.dropped == {"connection_1": 1}


def test_a_viewer_that_joins_between_flushes_is_owed_nothing_older() -> None:
    """It gets what arrives from then on; what others still wait for is neither shown to it nor counted."""
    audience, ticks = Audience(), Ticks()
    audience.add("early", Options(batch=True))
    audience.absorb([ticks.make()])
    late = audience.add("late", Options(batch=True))
    audience.absorb([ticks.make()])
    shown = {viewer.key: [seen.id for seen in one.ticks] for one in audience.flush() for viewer in one.viewers}
    assert shown == {"early": [1, 2], "late": [2]}
    audience.absorb([ticks.make()])
    (together,) = audience.flush()
    assert ([seen.id for seen in together.ticks], len(together.viewers)) == ([3], 2)
    assert not late.dropped
