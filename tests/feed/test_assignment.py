"""Assignment: every ticker on exactly one line, loads even, homes remembered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidewire.feed.assignment import Assignment

LINES = ["connection_1", "connection_2", "connection_3"]


def test_an_unknown_ticker_has_no_owner() -> None:
    """Nobody owns what was never placed; an unknown line carries nothing; without lines nothing is placed."""
    assignment = Assignment(LINES)
    assert assignment.owner("AAPL") is None
    assert assignment.tickers("connection_9") == set()
    assert Assignment([]).place(["AAPL"], {}) == {}


def test_the_first_mention_wins() -> None:
    """A ticker pinned twice stays where it was."""
    assignment = Assignment(LINES)
    assert assignment.pin("AAPL", "connection_2") == "connection_2"
    assert assignment.pin("AAPL", "connection_1") == "connection_2"
    assert assignment.tickers("connection_1") == set()


def test_rate_first_then_count_then_order() -> None:
    """The measured rate decides; with equal rates the count; with equal counts the order."""
    assignment = Assignment(LINES)
    assert assignment.place(["A"], {}) == {"A": "connection_1"}
    assert assignment.place(["B"], {}) == {"B": "connection_2"}
    assert assignment.place(["C"], {"connection_1": 9, "connection_2": 1, "connection_3": 5}) == {"C": "connection_2"}
    assert assignment.place(["D"], {}, ["connection_1", "connection_2"]) == {"D": "connection_1"}


@settings(max_examples=60)
@given(st.integers(0, 60), st.lists(st.floats(0, 1_000), min_size=3, max_size=3), st.integers(0, 30))
def test_a_long_list_is_spread(count: int, rates: list[float], before: int) -> None:
    """No line gets more than its share: the expected loads end within one ticker of each other, or untouched."""
    assignment = Assignment(LINES)
    for number in range(before):
        assignment.pin(f"P{number}", LINES[number % 3])
    measured = dict(zip(LINES, rates, strict=True)) if before else {}
    placed = assignment.place([f"N{n}" for n in range(count)], measured)
    assert len(placed) == count
    each = sum(measured.values()) / before if before else 0.0
    added = {line: list(placed.values()).count(line) for line in LINES}
    expected = {line: measured.get(line, 0.0) + added[line] * each for line in LINES}
    used = [expected[line] for line in LINES if added[line]]
    if used and each:
        assert max(used) <= min(expected.values()) + each * 1.001
    elif not each:
        assert max(added.values()) - min(added.values()) <= 1 or before % 3


class Machine(RuleBasedStateMachine):
    """Any order of placing, releasing, evacuating and bringing home."""

    def __init__(self) -> None:
        super().__init__()
        self.assignment = Assignment(LINES)
        self.known: set[str] = set()

    @rule(tickers=st.lists(st.sampled_from([f"T{n}" for n in range(12)]), max_size=6), rate=st.floats(0, 100))
    def place(self, tickers: list[str], rate: float) -> None:
        """Place, twice the same."""
        self.assignment.place(tickers, {"connection_1": rate})
        assert self.assignment.place(tickers, {}) == {}
        self.known |= set(tickers)

    @rule(ticker=st.sampled_from([f"T{n}" for n in range(12)]), line=st.sampled_from(LINES))
    def pin(self, ticker: str, line: str) -> None:
        """Pin."""
        self.assignment.pin(ticker, line)
        self.known.add(ticker)

    @rule(tickers=st.lists(st.sampled_from([f"T{n}" for n in range(14)]), max_size=4))
    def release(self, tickers: list[str]) -> None:
        """Release, also what is not there."""
        released = self.assignment.release(tickers)
        assert set().union(*released.values()) == self.known & set(tickers)
        self.known -= set(tickers)

    @rule(line=st.sampled_from(LINES), survivors=st.lists(st.sampled_from(LINES), unique=True))
    def evacuate(self, line: str, survivors: list[str]) -> None:
        """Empty a line if there is another."""
        self.assignment.evacuate(line, {}, survivors)
        if set(survivors) - {line}:
            assert self.assignment.tickers(line) == set()

    @rule(line=st.sampled_from(LINES))
    def repatriate(self, line: str) -> None:
        """Bring home."""
        self.assignment.repatriate(line)
        assert self.assignment.away(line) == 0

    @invariant()
    def each_on_exactly_one(self) -> None:
        """Every known ticker has one owner, and the lines' sets say the same."""
        sets = {line: self.assignment.tickers(line) for line in LINES}
        assert sum(len(s) for s in sets.values()) == len(self.known)
        assert set().union(*sets.values()) == self.known == set(self.assignment.owners)
        assert all(ticker in sets[line] for ticker, line in self.assignment.owners.items())


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
