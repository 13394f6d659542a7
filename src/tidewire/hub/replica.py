"""One node's copy of a room that has a log: what is next, what came twice, what is missing. Pure.

Messages come from two sides: announced on the room's channel, at most once, and read from the log. Whatever the order,
each place is passed on once and in turn, or ``lost`` says that something cannot be had any more. While the log is being
read, announced messages wait. Overflow: of more than ``MAX_WAITING`` the oldest go, and the log is read again.
It must not know how either side works, or who is in the room. Source: docs/protocol.md; reliability.md 1, finding 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tidewire.bus.room_log import Entry, Place, Reading

# Two seconds of a very busy room; reading again costs less than keeping more.
MAX_WAITING = 1_024

Lost = Literal["epoch_changed", "history_trimmed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done after something was heard.

    Attributes:
        lost: First of all: the members must be told that the room does not go on from where it was.
        restart: With ``lost``, and at the beginning: the place to go on from.
        entries: Then these messages, in order.
        read: Then the log must be read from ``Replica.place``.
    """

    entries: Sequence[Entry] = ()
    lost: Lost | None = None
    restart: Place | None = None
    read: bool = False


@dataclass(slots=True)
class Replica:
    """See the module's text.

    Attributes:
        place: Of the newest message passed on; None before the first reading.
        reading: Whether the log is being read, so that announced messages wait.
    """

    place: Place | None = None
    reading: bool = False
    _waiting: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))

    def announced(self, entry: Entry) -> Step:
        """Take a message of the channel."""
        place = self.place
        if self.reading or place is None:
            self._waiting.append(entry)
            return Step()
        if entry.place.epoch == place.epoch:
            if entry.place.offset == place.offset + 1:
                self.place = entry.place
                return Step((entry,))
            if entry.place.offset <= place.offset:
                return Step()
        self._waiting.append(entry)
        return Step(read=True)

    def begin(self) -> None:
        """The log is about to be read; if that fails, announced messages go on waiting until it can be."""
        self.reading = True

    def checked(self, reading: Reading) -> Step:
        """Take a reading made while announced messages were passed on, to look for what is missing."""
        place = self.place
        if self.reading or place is None:
            return Step()
        if reading.newest.epoch != place.epoch or reading.lost is not None:
            return Step(read=True)
        fresh = [entry for entry in reading.entries if entry.place.offset > place.offset]
        if not fresh:
            return Step()
        if fresh[0].place.offset != place.offset + 1:
            return Step(read=True)
        self.place = fresh[-1].place
        return Step(fresh)

    def read(self, reading: Reading) -> Step:
        """Take what the log said; what waited follows."""
        self.reading = False
        before, newest = self.place, reading.newest
        entries = list(reading.entries)
        first = entries[0].place.offset - 1 if entries else newest.offset
        lost: Lost | None = None
        restart: Place | None = None
        if before is None:
            restart = Place(newest.epoch, first)
        elif newest.epoch != before.epoch:
            lost, restart = "epoch_changed", Place(newest.epoch, first)
        else:
            entries = [entry for entry in entries if entry.place.offset > before.offset]
            if newest.offset > before.offset and (not entries or entries[0].place.offset != before.offset + 1):
                first = entries[0].place.offset - 1 if entries else newest.offset
                lost, restart = "history_trimmed", Place(newest.epoch, first)
        if before is None or lost is not None or newest.offset > before.offset:
            self.place = newest
        return Step(entries, lost, restart, self._drain(entries))

    def _drain(self, entries: list[Entry]) -> bool:
        """Append what waited to ``entries``, as far as it follows; return whether the log must be read again."""
        place = self.place
        assert place is not None  # noqa: S101 - set by the reading
        waiting, again = list(self._waiting), False
        self._waiting.clear()
        for entry in waiting:
            if entry.place.epoch != place.epoch:
                # Of an earlier epoch, or of one that began after the reading: only the log can tell.
                again = True
            elif entry.place.offset == place.offset + 1:
                place = entry.place
                entries.append(entry)
            elif entry.place.offset > place.offset + 1:
                again = True
        self.place = place
        return again
