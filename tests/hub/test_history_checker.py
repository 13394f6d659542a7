"""The history checker finds every bug that is put in, and none where there is none (reliability.md bar R3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.history_checker import Entered, Gapped, Left, Message, Published, check
from tests.support.room_run import random_run
from tests.support.seed import seed
from tidewire.core.protocol import Since
from tidewire.hub.history import Publication, Recovery
from tidewire.hub.room import Room, RoomRules, Share

Faulty = type[Room[str]]


class OffByOneReplay(Room[str]):
    """Replays one message too few."""

    def join(self, member: str, **more: Any) -> Recovery:
        """Drop the first."""
        found = super().join(member, **more)
        return Recovery(found.recovered, found.messages[1:], found.reason) if found.recovered else found


class ReplayOneTooMany(Room[str]):
    """Replays what the client has already."""

    def join(self, member: str, *, since: Since | None, **more: Any) -> Recovery:
        """Begin one too early."""
        earlier = Since(since.epoch, max(0, since.offset - 1)) if since else None
        return super().join(member, since=earlier, **more)


class NoEpochCheck(Room[str]):
    """Takes a place in an earlier life for one in this."""

    def join(self, member: str, *, since: Since | None, **more: Any) -> Recovery:
        """Believe the offset alone."""
        return super().join(member, since=Since(self.epoch, since.offset) if since else None, **more)


class PartialReplay(Room[str]):
    """Calls it recovered although the history was trimmed."""

    def join(self, member: str, *, since: Since | None, **more: Any) -> Recovery:
        """Give what is left."""
        found = super().join(member, since=since, **more)
        if found.reason == "history_trimmed":
            return Recovery(True, self.history.tail("", 100, more["now"]))
        return found


class FreshTwice(Room[str]):
    """A newcomer gets the pending messages from history and live."""

    def join(self, member: str, **more: Any) -> Recovery:
        """Forget that it is new."""
        found = super().join(member, **more)
        if member in self._fresh:
            self._fresh[member] = (0, 0)
        return found


class LostDuringSubscribe(Room[str]):
    """What is published between the answer and the next flush goes to the old members only."""

    def flush(self) -> list[Share[str]]:
        """Skip the newcomers."""
        fresh = set(self._fresh)
        return [share for share in super().flush() if not fresh & set(share.members)]


class AcknowledgedTooEarly(Room[str]):
    """Every seventh message is acknowledged and then forgotten."""

    def publish(self, body: bytes | Mapping[str, bytes], **more: Any) -> Publication:
        """Answer, then lose it."""
        done = super().publish(body, **more)
        if self.offset % 7 == 0 and self._pending:
            self._pending.pop()
        return done


class Reversed(Room[str]):
    """Sends a flush backwards."""

    def flush(self) -> list[Share[str]]:
        """Reverse."""
        return [Share(s.members, s.audience, s.batch, list(reversed(s.publications))) for s in super().flush()]


class SentTwice(Room[str]):
    """Sends the last message of a flush again."""

    def flush(self) -> list[Share[str]]:
        """Repeat."""
        return [Share(s.members, s.audience, s.batch, [*s.publications, s.publications[-1]]) for s in super().flush()]


class SkippedOffset(Room[str]):
    """Every fifth offset is skipped."""

    def publish(self, body: bytes | Mapping[str, bytes], **more: Any) -> Publication:
        """Jump."""
        if self.offset % 5 == 4:
            self.offset += 1
        return super().publish(body, **more)


class ReusedOffset(Room[str]):
    """Every fifth offset is given out twice."""

    def publish(self, body: bytes | Mapping[str, bytes], **more: Any) -> Publication:
        """Step back."""
        if self.offset % 5 == 4:
            self.offset -= 1
        return super().publish(body, **more)


class ReplayBackwards(Room[str]):
    """Replays the newest first."""

    def join(self, member: str, **more: Any) -> Recovery:
        """Reverse."""
        found = super().join(member, **more)
        return Recovery(found.recovered, found.messages[::-1], found.reason)


class Stays(Room[str]):
    """Goes on sending to somebody who has left."""

    def leave(self, member: str) -> bool:
        """Ignore every leave from outside ``join``."""
        return member in self


class Invented(Room[str]):
    """Sends something nobody published."""

    def flush(self) -> list[Share[str]]:
        """Change one message's content on its way."""
        shares = super().flush()
        for share in shares:
            for n, publication in enumerate(share.publications):
                if publication.offset is not None and publication.offset % 6 == 0:
                    changed = {"": publication.encoded[""].replace(b'"data":"m', b'"data":"x')}
                    share.publications[n] = Publication(changed, 0.0, "lossless", publication.offset)  # type: ignore[index]
        return shares


class SameEpoch(Room[str]):
    """A new life under the old name."""

    def __init__(self, room_id: str, rules: RoomRules, epoch: str) -> None:
        super().__init__(room_id, rules, "e-always")


class TooLittleSaid(Room[str]):
    """Says recovered where the offset lies in the future, and replays nothing."""

    def join(self, member: str, *, since: Since | None, **more: Any) -> Recovery:
        """Take every known epoch for a good place."""
        found = super().join(member, since=since, **more)
        lost = since is not None and since.epoch == self.epoch and found.reason is not None
        return Recovery(True, []) if lost else found


class StaleReplay(Room[str]):
    """What is published between two flushes is not in the replay, and the newcomer is not sent it either."""

    def join(self, member: str, **more: Any) -> Recovery:
        """Cut off what is pending."""
        found = super().join(member, **more)
        pending = len(self._pending)
        return Recovery(found.recovered, found.messages[: len(found.messages) - pending], found.reason)


class WrongContent(Room[str]):
    """Sends the first content of a flush again in the place of the second."""

    def flush(self) -> list[Share[str]]:
        """Put the first under both offsets."""
        shares = super().flush()
        for share in shares:
            if len(share.publications) > 1:
                first, second = share.publications[0], share.publications[1]
                place = b'"offset":%d,' % (second.offset or 0)
                encoded = first.encoded[""].replace(b'"offset":%d,' % (first.offset or 0), place)
                share.publications[1] = Publication({"": encoded}, 0.0, "lossless", second.offset)  # type: ignore[index]
        return shares


FAULTS: list[Faulty] = [
    OffByOneReplay, ReplayOneTooMany, NoEpochCheck, PartialReplay, FreshTwice, LostDuringSubscribe,
    AcknowledgedTooEarly, Reversed, SentTwice, SkippedOffset, ReusedOffset, ReplayBackwards, Stays, Invented, SameEpoch,
    TooLittleSaid, StaleReplay, WrongContent,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_seeded_bug_is_caught(fault: Callable[[str, RoomRules, str], Room[str]]) -> None:
    """Each faulty room is found out within a few short runs."""
    assert any(_violations(fault, number) for number in range(20))


def _violations(make: Callable[[str, RoomRules, str], Room[str]], number: int) -> list[Any]:
    run = random_run(make, number)
    return check(run.published, run.logs)


def test_the_real_room_passes_the_same_runs() -> None:
    """Nothing is called a violation that is none."""
    start = seed(0)
    for number in range(start, start + 200):
        assert _violations(Room, number) == [], f"seed {number}"


OK = [Published("m1", "ok", "e", 1), Published("m2", "ok", "e", 2), Published("m3", "ok", "e", 3)]
START = Entered("e", 0, False, 0)


@pytest.mark.parametrize(
    ("published", "log", "rule"),
    [
        (OK, [START, Message("e", 1, "m1"), Message("e", 3, "m3")], "hole without a word"),
        (OK, [START, Message("e", 1, "m1")], "lost at the end"),
        (OK, [START, Message("e", 1, "m1"), Gapped("e", 3, 3)], "gap that does not fit"),
        (OK, [START, Message("e", 1, "m1"), Gapped("e", 2, 2), Message("e", 3, "m3")], "came while outside"),
        (OK, [START, Left(), Entered("e", 3, True, 1), Message("e", 3, "m3")], "recovered, but not all"),
        (OK, [START, Left(), Entered("e", 3, True, 3), Message("e", 1, "m1")], "promised replay did not come"),
        (OK, [Entered("f", 3, True, 0)], "recovered into another epoch"),
        ([*OK, Published("m4", "fail")], [START, Message("e", 1, "m4")], "refused, but delivered"),
        ([Published("m1", "ok", "e", 1), Published("m2", "ok", "e", 1)], [], "two messages at one place"),
        ([Published("m1", "ok")], [], "acknowledged without a place"),
        (OK, [START, Message("e", 1, "m2")], "another message at the same place"),
    ],
)
def test_each_rule_has_a_case(published: list[Published], log: list[Any], rule: str) -> None:
    """Every rule fires on the smallest log that breaks it."""
    assert rule in {violation.rule for violation in check(published, {"c": log})}


def test_an_unknown_outcome_may_be_there_or_not() -> None:
    """A publish that was never answered is allowed to have happened."""
    unknown = Published("m2", "unknown")
    published = [Published("m1", "ok", "e", 1), unknown, Published("m3", "ok", "e", 3)]
    with_it = [START, Message("e", 1, "m1"), Message("e", 2, "m2"), Message("e", 3, "m3")]
    assert check(published, {"c": with_it}) == []
    assert check([OK[0], unknown], {"c": [START, Message("e", 1, "m1")]}) == []


def test_a_told_gap_is_no_violation() -> None:
    """Who is told and comes back gets the rest."""
    log = [START, Message("e", 1, "m1"), Gapped("e", 2, 2), Entered("e", 3, True, 2)]
    assert check(OK, {"c": [*log, Message("e", 2, "m2"), Message("e", 3, "m3")]}) == []


def test_what_was_lost_with_its_epoch_may_be_sent_again() -> None:
    """The same message at a place of a new epoch that the client was told of is no double; unsaid, or twice, it is."""
    sent_again = [OK[0], Published("m2", "ok", "f", 1)]
    told = [
        START,
        Message("e", 1, "m1"),
        Message("e", 2, "m2"),
        Left(),
        Entered("f", 0, False, 0),
        Message("f", 1, "m2"),
    ]
    assert check(sent_again, {"c": told}) == []
    twice = [*told, Message("f", 2, "m2")]
    assert "doubled" in {violation.rule for violation in check(sent_again, {"c": twice})}
