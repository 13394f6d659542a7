"""A node's copy of a room: whatever is lost, late, doubled or read in between, each place once and in turn, or told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.bus.room_log import Entry, Place, Reading, judge
from tidewire.hub.replica import MAX_WAITING, Replica, Step

ACTIONS = ("append", "append", "lose", "hold", "release", "again", "begin", "end", "compare", "compared", "new epoch")
KEPT = 6


class World:
    """A log, a channel that loses and delays, a replica, and what it passed on."""

    def __init__(self) -> None:
        self.epochs = 1
        self.offset = 0
        self.kept: list[Entry] = []
        self.history: list[Place] = []
        self.held: list[Entry] = []
        self.replica = Replica()
        self.wanted = True
        self.reading: Reading | None = None
        self.comparing: Reading | None = None
        self.seen: Place | None = None
        self.passed: list[Place] = []
        self.losses = 0

    @property
    def newest(self) -> Place:
        """The log's place."""
        return Place(f"e-{self.epochs}", self.offset)

    def act(self, action: str) -> None:
        """Do one thing."""
        if action in ("append", "lose", "hold"):
            self._append(action)
        elif action == "release" and self.held:
            self._take(self.replica.announced(self.held.pop(0)))
        elif action == "again" and self.kept:
            self._take(self.replica.announced(self.kept[-1]))
        elif action == "begin" and self.wanted and self.reading is None:
            self.replica.begin()
            self.reading = judge(self.newest, list(self.kept), self.replica.place)
        elif action == "end" and self.reading is not None:
            reading, self.reading, self.wanted = self.reading, None, False
            self._take(self.replica.read(reading))
        elif action == "compare" and self.replica.place is not None:
            self.comparing = judge(self.newest, list(self.kept), self.replica.place)
        elif action == "compared" and self.comparing is not None:
            comparing, self.comparing = self.comparing, None
            self._take(self.replica.checked(comparing))
        elif action == "new epoch":
            self.epochs += 1
            self.offset, self.kept = 0, []

    def finish(self) -> None:
        """Read until nothing is missing."""
        self.act("end")
        self.wanted = True
        for _ in range(5):
            self.act("begin")
            self.act("end")
        assert not self.wanted

    def _append(self, action: str) -> None:
        self.offset += 1
        entry = Entry(self.newest, b"%d" % self.offset)
        self.kept = [*self.kept, entry][-KEPT:]
        self.history.append(entry.place)
        if action == "append":
            # A channel keeps its order: what is held comes first.
            for held in self.held:
                self._take(self.replica.announced(held))
            self.held.clear()
            self._take(self.replica.announced(entry))
        elif action == "hold":
            self.held.append(entry)

    def _take(self, step: Step) -> None:
        if step.restart is not None:
            assert (step.lost is None) == (self.seen is None)
            self.losses += step.lost is not None
            self.seen = step.restart
        for entry in step.entries:
            assert self.seen is not None
            assert entry.place == Place(self.seen.epoch, self.seen.offset + 1)
            self.seen = entry.place
            self.passed.append(entry.place)
        if self.seen is not None:
            assert self.seen == self.replica.place
        self.wanted = self.wanted or step.read


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=60))
def test_each_place_once_in_turn_or_told(actions: list[str]) -> None:
    """Any interleaving of losing, delaying, repeating, reading, comparing and new epochs ends complete."""
    world = World()
    for action in actions:
        world.act(action)
    world.finish()
    assert world.seen == world.newest
    assert len(set(world.passed)) == len(world.passed)
    if not world.losses and world.passed:
        first = world.history.index(world.passed[0])
        assert world.passed == world.history[first:]


def test_a_hole_stops_everything_until_the_log_has_been_read() -> None:
    """1, 3: the 3 waits; the log says 2 and 3; both come, once, and then 4."""
    replica, entries = Replica(), [Entry(Place("e", n), b"") for n in range(6)]
    assert replica.read(Reading(Place("e", 0), [])).restart == Place("e", 0)
    assert replica.announced(entries[1]).entries == (entries[1],)
    assert replica.announced(entries[3]) == Step(read=True)
    replica.begin()
    assert replica.announced(entries[4]) == Step()
    assert list(replica.read(Reading(Place("e", 3), entries[2:4])).entries) == entries[2:5]
    assert replica.announced(entries[4]) == Step()
    assert replica.announced(entries[5]).entries == (entries[5],)


def test_too_much_to_wait_for_is_read_again() -> None:
    """More than fits while the log is being read: the oldest go, the hole is seen, nothing is skipped."""
    replica = Replica()
    replica.read(Reading(Place("e", 0), []))
    replica.begin()
    for n in range(1, MAX_WAITING + 3):
        assert replica.announced(Entry(Place("e", n), b"")) == Step()
    step = replica.read(Reading(Place("e", 0), []))
    assert (list(step.entries), step.read) == ([], True)
    assert replica.place == Place("e", 0)
