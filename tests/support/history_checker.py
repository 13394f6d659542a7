"""Judges a recorded run: was anything lost, doubled, reordered, invented or left unsaid? Pure, and itself tested.

Publishers log what they sent and how it was answered; clients log what they saw. The checker knows nothing of rooms,
sockets or timing. A client that follows a room is *continuous* from the moment it entered until it is told otherwise;
within that stretch every offset comes once, in order, and whatever was acknowledged is there.
Source: reliability.md section 5, "History checker".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Published:
    """One publish: what was sent, and what the publisher was told."""

    id: str
    outcome: Literal["ok", "fail", "unknown"]
    epoch: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Entered:
    """The client was answered ``subscribed``."""

    epoch: str
    offset: int
    recovered: bool
    replayed: int


@dataclass(frozen=True)
class Message:
    """A message of the room came."""

    epoch: str
    offset: int
    id: str


@dataclass(frozen=True)
class Gapped:
    """The client was told that it does not get some messages and is out until it enters again."""

    epoch: str
    from_offset: int
    to_offset: int


@dataclass(frozen=True)
class Left:
    """The client's connection ended, or it left; nothing more may come."""


Event = Entered | Message | Gapped | Left


@dataclass(frozen=True)
class Violation:
    """One broken promise."""

    client: str
    rule: str
    detail: str


def check(
    published: Sequence[Published], clients: Mapping[str, Sequence[Event]], *, converged: bool = True
) -> list[Violation]:
    """Return every violation.

    Args:
        converged: The run ended after all clients that are inside had time to get everything.
    """
    found = _check_publishers(published)
    names = _names(published, clients, found)
    known = {entry.id: entry for entry in published}
    newest: dict[str, int] = {}
    for epoch, offset in names:
        newest[epoch] = max(newest.get(epoch, 0), offset)
    for client, events in clients.items():
        found += _Follower(client, known).follow(events, newest if converged else {})
    return found


def _check_publishers(published: Sequence[Published]) -> list[Violation]:
    found: list[Violation] = []
    places: dict[tuple[str, int], str] = {}
    for entry in published:
        if entry.outcome == "ok" and (entry.epoch is None or entry.offset is None):
            found.append(Violation("publisher", "acknowledged without a place", entry.id))
        elif entry.outcome == "ok" and entry.epoch is not None and entry.offset is not None:
            other = places.setdefault((entry.epoch, entry.offset), entry.id)
            if other != entry.id:
                found.append(Violation("publisher", "two messages at one place", f"{other} and {entry.id}"))
    epochs: dict[str, list[int]] = {}
    for epoch, offset in places:
        epochs.setdefault(epoch, []).append(offset)
    for epoch, offsets in epochs.items():
        unknown = sum(entry.outcome == "unknown" for entry in published)
        holes = max(offsets) - min(offsets) + 1 - len(offsets)
        if holes > unknown:
            found.append(Violation("publisher", "offsets with holes", f"{holes} in {epoch}"))
    return found


def _names(
    published: Sequence[Published], clients: Mapping[str, Sequence[Event]], found: list[Violation]
) -> dict[tuple[str, int], str]:
    """What stands at each place, by everybody's word; disagreement is a violation."""
    names = {(e.epoch, e.offset): e.id for e in published if e.outcome == "ok" and e.epoch and e.offset is not None}
    for client, events in clients.items():
        for event in events:
            if isinstance(event, Message):
                other = names.setdefault((event.epoch, event.offset), event.id)
                if other != event.id:
                    place = f"{event.epoch}/{event.offset}"
                    found.append(
                        Violation(client, "another message at the same place", f"{place}: {other}, {event.id}")
                    )
    return names


class _Follower:
    """Walks through one client's log."""

    def __init__(self, client: str, known: Mapping[str, Published]) -> None:
        self.client = client
        self.known = known
        self.found: list[Violation] = []
        self.epoch: str | None = None
        self.position = 0
        self.inside = False
        self.owed = 0
        self.seen: set[str] = set()

    def follow(self, events: Sequence[Event], newest: Mapping[str, int]) -> list[Violation]:
        for event in events:
            if isinstance(event, Entered):
                self._enter(event)
            elif isinstance(event, Message):
                self._take(event)
            elif isinstance(event, Gapped):
                self._gap(event)
            else:
                self.inside = False
                self.owed = 0
        if newest and self.inside and self.epoch is not None:
            if self.owed:
                self._blame("promised replay did not come", f"{self.owed} missing")
            if self.position < newest.get(self.epoch, 0):
                self._blame("lost at the end", f"{self.position} of {newest[self.epoch]} in {self.epoch}")
        return self.found

    def _enter(self, event: Entered) -> None:
        if event.recovered:
            if event.epoch != self.epoch:
                self._blame("recovered into another epoch", f"{self.epoch} -> {event.epoch}")
            elif event.offset < self.position:
                self._blame("recovered into the past", f"{self.position} -> {event.offset}")
            elif event.offset - self.position != event.replayed:
                self._blame("recovered, but not all", f"{event.replayed} of {event.offset - self.position}")
            self.owed = event.replayed
        else:
            if event.epoch != self.epoch:
                # What was seen is no longer there, so that its publisher may have sent it again.
                self.seen.clear()
            self.position = event.offset
            self.owed = 0
        self.epoch = event.epoch
        self.inside = True

    def _take(self, event: Message) -> None:
        entry = self.known.get(event.id)
        if entry is None:
            self._blame("invented", event.id)
        elif entry.outcome == "fail":
            self._blame("refused, but delivered", event.id)
        if not self.inside:
            self._blame("came while outside", event.id)
        if event.epoch != self.epoch:
            self._blame("of another epoch", f"{event.epoch} in {self.epoch}")
            return
        if event.id in self.seen:
            self._blame("doubled", event.id)
        self.seen.add(event.id)
        if event.offset <= self.position:
            self._blame("doubled or reordered", f"{event.offset} after {self.position}")
        elif event.offset > self.position + 1:
            self._blame("hole without a word", f"{self.position} -> {event.offset}")
        self.position = max(self.position, event.offset)
        self.owed = max(0, self.owed - 1)

    def _gap(self, event: Gapped) -> None:
        if event.epoch != self.epoch or event.from_offset != self.position + 1 or event.to_offset < event.from_offset:
            self._blame("gap that does not fit", f"{event} at {self.epoch}/{self.position}")
        self.inside = False
        self.owed = 0

    def _blame(self, rule: str, detail: str) -> None:
        self.found.append(Violation(self.client, rule, detail))
