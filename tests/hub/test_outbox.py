"""The outbox: bounded in bytes, and honest about everything it does not keep."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidewire.hub.outbox import ITEM_COST_BYTES, Budget, Outbox, Outcome, Span

HARD = 4_000

offers = st.tuples(
    st.sampled_from(["lossless", "latest", "volatile"]),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from(["room:x", "room:y"]),
    st.integers(1, 800),
    st.booleans(),
)
steps = st.lists(st.one_of(offers, st.integers(1, 2_000)), max_size=60)


@given(steps=steps, in_flight=st.integers(0, 3_000))
def test_nothing_lossless_goes_missing_unsaid(steps: list[Any], in_flight: int) -> None:
    """Bytes stay bounded, order holds, and each lossless message is taken, or in a gap, or the connection must go."""
    budget = Budget()
    outbox = Outbox(budget, HARD)
    offsets = {"room:x": 0, "room:y": 0}
    owed: dict[str, list[int]] = {"room:x": [], "room:y": []}
    taken: dict[str, list[int]] = {"room:x": [], "room:y": []}

    def note(messages: list[bytes]) -> None:
        for message in messages:
            room, number, kind = message.decode().split("|")[:3]
            if kind == "lossless":
                taken[room].append(int(number))

    for step in steps:
        if isinstance(step, int):
            note(outbox.take(step))
        else:
            delivery, key, room, size, resumable = step
            offsets[room] += 1
            message = f"{room}|{offsets[room]}|{delivery}|".encode() + b"x" * size
            verdict = outbox.offer(
                message,
                delivery=delivery,
                key=key,
                room_id=room,
                offset=offsets[room],
                resumable=resumable,
                in_flight_bytes=in_flight,
            )
            if delivery == "lossless":
                owed[room].append(offsets[room])
            if verdict.outcome is Outcome.CLOSE:
                break
            for span in verdict.gaps:
                lost = [n for n in owed[span.room_id] if span.from_offset <= n <= span.to_offset]
                owed[span.room_id] = [n for n in owed[span.room_id] if n not in lost or n in taken[span.room_id]]
            assert outbox.held_bytes + in_flight <= HARD
        assert budget.held_bytes == outbox.held_bytes
    else:
        while len(outbox):
            note(outbox.take(1_000))
        # Everything that was not covered by a gap has come, once and in order.
        for room, numbers in taken.items():
            assert numbers == sorted(set(numbers))
            assert set(owed[room]) <= set(numbers)
    outbox.clear()
    assert budget.held_bytes == 0


def test_the_newest_replaces_the_older_of_its_key() -> None:
    """A latest message takes the place at the end, so that offsets never run backwards."""
    outbox = Outbox(Budget())
    for number, key in enumerate(["a", "b", "a"]):
        outbox.offer(b"%d" % number, delivery="latest", key=key, room_id="market:A", offset=number, in_flight_bytes=0)
    assert outbox.take(10_000) == [b"1", b"2"]
    assert outbox.statistics().replaced == 1


def test_volatile_messages_are_dropped_and_counted() -> None:
    """A typing notice is worth nothing later."""
    outbox = Outbox(Budget())
    assert outbox.offer(b"x", delivery="volatile", in_flight_bytes=0).outcome is Outcome.DROPPED
    assert (len(outbox), outbox.statistics().dropped) == (0, 1)


def test_over_the_hard_mark_a_resumable_room_becomes_a_gap() -> None:
    """The client is told exactly which offsets it must fetch again; its own replies stay."""
    outbox = Outbox(Budget(), hard_bytes=3 * (ITEM_COST_BYTES + 100))
    outbox.offer(b"r" * 10, delivery="lossless", in_flight_bytes=0)
    verdicts = [
        outbox.offer(b"m" * 100, delivery="lossless", room_id="app:x", offset=n, resumable=True, in_flight_bytes=0)
        for n in (7, 8, 9)
    ]
    assert [v.outcome for v in verdicts] == [Outcome.HELD, Outcome.HELD, Outcome.GAP]
    assert verdicts[2].gaps == (Span("app:x", 7, 9),)
    assert outbox.take(10_000) == [b"r" * 10]


def test_a_client_that_cannot_resume_must_go() -> None:
    """Without history there is nothing to come back to."""
    outbox = Outbox(Budget(), hard_bytes=500)
    verdict = outbox.offer(b"m" * 600, delivery="lossless", in_flight_bytes=0)
    assert verdict.outcome is Outcome.CLOSE


def test_all_outboxes_share_one_budget() -> None:
    """When the process holds too much, whoever would grow is judged as if over its own mark."""
    budget = Budget(max_bytes=1_000)
    first, second = Outbox(budget), Outbox(budget)
    assert first.offer(b"m" * 700, delivery="lossless", in_flight_bytes=0).outcome is Outcome.HELD
    assert second.offer(b"m" * 700, delivery="lossless", in_flight_bytes=0).outcome is Outcome.CLOSE
    assert budget.peak_bytes > 1_000


def test_what_was_lost_is_counted_for_all_outboxes_also_those_that_are_gone() -> None:
    """Replaced, dropped and given up: the sum over two connections, one of which has ended."""
    budget = Budget()
    first, second = Outbox(budget), Outbox(budget, hard_bytes=100)
    for _ in range(3):
        first.offer(b"x", delivery="latest", key="k", room_id="market:A", offset=1, in_flight_bytes=0)
        first.offer(b"x", delivery="volatile", in_flight_bytes=0)
    second.offer(b"m" * 90, delivery="lossless", room_id="app:x", offset=1, resumable=True, in_flight_bytes=0)
    first.clear()
    del first
    assert (budget.replaced, budget.dropped, budget.given_up) == (2, 3, 1)


def test_leaving_a_room_forgets_what_was_held_of_it() -> None:
    """After unsubscribed nothing of the room comes."""
    budget = Budget()
    outbox = Outbox(budget)
    outbox.offer(b"a", delivery="lossless", room_id="app:x", in_flight_bytes=0)
    outbox.offer(b"b", delivery="lossless", room_id="app:y", in_flight_bytes=0)
    outbox.leave("app:x")
    assert outbox.take(100) == [b"b"]
    assert budget.held_bytes == 0
