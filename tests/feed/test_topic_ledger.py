"""The ledger of topics: what is wanted is never lost, what was asked is never asked twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tidewire.feed.massive import SecondBar, Trade
from tidewire.feed.topic_ledger import TopicLedger

TOPICS = [f"T.{name}" for name in "ABCDE"]
T_MS = 1_700_000_000_000


def test_refusal_without_a_name() -> None:
    """`not authorized` names nothing: it means what is left when all others were answered."""
    ledger = TopicLedger()
    ledger.want(["T.A", "T.B", "NOI.C"])
    assert ledger.take_changes(0) == (["T.A", "T.B", "NOI.C"], [])
    ledger.refuse("not authorized")
    assert ledger.refused == set()
    ledger.acknowledge("subscribed to: T.A")
    ledger.acknowledge("subscribed to: T.B")
    assert (ledger.refused, ledger.pending) == ({"NOI.C"}, {})
    assert ledger.take_changes(1) == ([], [])


def test_refusal_with_a_name() -> None:
    """If the venue names the topic, it is that one at once."""
    ledger = TopicLedger()
    ledger.want(["T.A", "T.B"])
    ledger.take_changes(0)
    ledger.refuse("not authorized to subscribe to T.B")
    assert ledger.refused == {"T.B"}


def test_one_refusal_for_several_topics() -> None:
    """If fewer refusals than topics came, the deadline settles it: all that is left was refused."""
    ledger = TopicLedger()
    ledger.want(["T.A", "Q.A", "Q.B"])
    ledger.take_changes(0)
    ledger.refuse("not authorized")
    ledger.acknowledge("subscribed to: T.A")
    assert ledger.expire(9, 10) == []
    assert sorted(ledger.expire(10, 10)) == ["Q.A", "Q.B"]
    assert ledger.refused == {"Q.A", "Q.B"}


def test_acks_in_one_message_and_of_strangers() -> None:
    """Several topics in one acknowledgement count; those never wanted are ignored; other words are not acks."""
    ledger = TopicLedger()
    ledger.want(["T.A", "T.BRK.B"])
    ledger.take_changes(0)
    assert ledger.acknowledge("subscribed to: T.A,T.BRK.B, T.ZZ")
    assert ledger.acked == {"T.A", "T.BRK.B"}
    assert not ledger.acknowledge("hello")
    assert ledger.acknowledge("unsubscribed to: T.A")
    assert "T.A" in ledger.acked


def test_data_counts_as_an_answer() -> None:
    """A topic whose data flows is not pending, whatever the venue said; only its own event type counts."""
    ledger = TopicLedger()
    ledger.want(["T.A", "A.A"])
    ledger.take_changes(0)
    ledger.receive_events([Trade("A", 1.0, T_MS), Trade("ZZ", 1.0, T_MS)])
    assert (ledger.flowing, set(ledger.pending)) == ({"T.A"}, {"A.A"})
    assert ledger.not_flowing
    ledger.receive_events([SecondBar("A", 1.0, T_MS, T_MS)])
    assert not ledger.not_flowing


class Machine(RuleBasedStateMachine):
    """Any order of wanting, answering, refusing, dropping."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = TopicLedger()
        self.venue: set[str] = set()
        self.now = 0.0

    @rule(topics=st.lists(st.sampled_from(TOPICS), unique=True))
    def want(self, topics: list[str]) -> None:
        """Want others, and ask."""
        self.ledger.want(topics)
        self.ask()

    @rule()
    def ask(self) -> None:
        """Send what must be sent; nothing is asked for twice, nothing dropped that is not there."""
        add, drop = self.ledger.take_changes(self.now)
        assert not set(add) & self.venue
        assert set(drop) <= self.venue
        self.venue = (self.venue | set(add)) - set(drop)
        assert self.ledger.take_changes(self.now) == ([], [])
        assert self.venue == set(self.ledger.wanted)

    @rule(topic=st.sampled_from(TOPICS), word=st.sampled_from(["", "un"]))
    def answer(self, topic: str, word: str) -> None:
        """Answer anything."""
        self.ledger.acknowledge(f"{word}subscribed to: {topic}")

    @rule(message=st.sampled_from(["not authorized", "not authorized: T.A"]))
    def refuse(self, message: str) -> None:
        """Refuse."""
        self.ledger.refuse(message)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        """Let deadlines pass."""
        self.now += seconds
        self.ledger.expire(self.now, 10)

    @rule(symbol=st.sampled_from("ABCDEZ"))
    def flow(self, symbol: str) -> None:
        """Send data."""
        self.ledger.receive_events([Trade(symbol, 1.0, T_MS)])

    @rule()
    def drop(self) -> None:
        """Lose the connection and come back: everything wanted is asked for again."""
        wanted = list(self.ledger.wanted)
        self.ledger.disconnect()
        self.venue = set()
        add, drop = self.ledger.take_changes(self.now)
        assert (add, drop) == (wanted, [])
        self.venue = set(add)

    @invariant()
    def each_topic_in_one_place(self) -> None:
        """A topic is pending, acked, refused or unanswered, never two of them, and only if wanted."""
        ledger = self.ledger
        places = [set(ledger.pending), ledger.acked, ledger.refused, ledger.unanswered]
        assert sum(len(place) for place in places) == len(set().union(*places))
        assert ledger.flowing <= ledger.acked
        assert not ledger.pending.keys() - ledger.wanted.keys()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
