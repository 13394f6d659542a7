"""A tab that follows one quote over any number of connections and nodes, exactly as docs/quotes.md tells it to.

It writes down everything that it was told, for the checkers. It comes back as every follower does, and must not know
which faults happen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.follower import Choose, Follower, Sightings
from tests.chaos.wire import Message as Said
from tests.chaos.wire import Wire
from tests.support.edit_checker import Copy, Held, Update
from tests.support.history_checker import Gapped, Left, Message
from tests.support.quote_page import QuotePage

# docs/quotes.md, "Following": a hole that stays so long is asked about.
HOLE_S = 2.0
OPEN = "open"


@dataclass
class Told:
    """What all tabs of a run were told.

    Attributes:
        updates: Each once, with who was told it first.
        holes: How often a hole stayed, so that a tab asked for the state.
    """

    updates: dict[tuple[str, int, str, Held, str | None], Update] = field(default_factory=dict)
    deliveries: int = 0
    states: list[Copy] = field(default_factory=list)
    holes: int = 0


class Viewer(Follower):
    """See the module's text.

    Attributes:
        page: What the tab shows.
    """

    def __init__(
        self,
        name: str,
        quote_id: str,
        headers: Callable[[int], Mapping[str, str]],
        choose: Choose,
        chance: random.Random,
        seen: Sightings,
        told: Told,
    ) -> None:
        super().__init__(f"quote:{quote_id}", headers, choose, chance, seen)
        self.name = name
        self.page = QuotePage(quote_id)
        self._told = told
        self._hole: asyncio.TimerHandle | None = None
        self._hole_at = 0

    def shows(self) -> Copy:
        """Return what the tab shows."""
        return Copy(self.name, self.page.quote_id, self.page.version, fields_of(self.page.fields), self.page.waiting)

    def has_version(self, version: int) -> bool:
        """Whether it is in its room and shows that version or a later one."""
        return self.inside and self.page.ready and self.page.version >= version

    def _enter(self, wire: Wire) -> None:
        """Resume if there is something to resume from, otherwise ask for the state."""
        if self.page.ready and self.page.place is not None and not self.inside:
            super()._enter(wire)
        elif wire.alive and wire is self._wire:
            self._asked_at = self._asked_at or asyncio.get_running_loop().time()
            self.page.ask()
            wire.say("quote_subscribe", id=OPEN, quote_id=self.page.quote_id)

    def _end(self, wire: Wire) -> None:
        if wire is self._wire:
            self.page.lost()
        super()._end(wire)

    def _hear(self, wire: Wire, kind: str, said: Said) -> None:
        if kind == "subscribed":
            self._entered(said)
        elif kind == "field_update":
            self._updated(said)
        elif kind == "quote_state":
            self._told.states.append(Copy(self.name, said["quote_id"], said["version"], fields_of(said["fields"])))
        elif kind == "gap":
            self.log.append(Gapped(said["epoch"], said["from_offset"], said["to_offset"]))
            self._inside = False
        elif kind == "unsubscribed" and said["reason"] == "state_unavailable":
            # Its reply follows, and with it the time to ask again.
            self.log.append(Left())
            self._inside = False
        elif kind in ("unsubscribed", "quote_update"):
            self._seen.wrong.append(str(said))
        self._show(said)
        if self.page.wants and kind != "unsubscribed":
            self._enter(wire)
        self._watch_hole()

    def _show(self, said: Said) -> None:
        try:
            self.page.receive(said)
        except AssertionError as error:
            self._seen.wrong.append(f"{self.name}: {error} in {said}")
        self.page.tape.clear()

    def _updated(self, said: Said) -> None:
        held = Held(said["value"], said["revision"], said["updated_by"], said["updated_at"])
        key = (said["quote_id"], said["version"], said["field"], held, said["op_id"])
        self._told.updates.setdefault(key, Update(self.name, *key))
        self._told.deliveries += 1
        self.log.append(Message(said["epoch"], said["offset"], str(said["version"])))
        self._place = {"epoch": said["epoch"], "offset": said["offset"]}

    def _watch_hole(self) -> None:
        """Ask for the state if the same hole is still there in a while."""
        waits = self.page.ready and bool(self.page.waiting)
        if self._hole is not None and not (waits and self._hole_at == self.page.version):
            self._hole.cancel()
            self._hole = None
        if waits and self._hole is None:
            self._hole_at = self.page.version
            self._hole = asyncio.get_running_loop().call_later(HOLE_S, self._ask_again)

    def _ask_again(self) -> None:
        self._hole = None
        if self._wire is not None and self._wire.alive and self.page.waiting:
            self._told.holes += 1
            self.page.ready = False
            self._enter(self._wire)


def fields_of(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Held]:
    """Return the fields of a message that were ever set."""
    known = {name: Held(each["value"], each["revision"], each["by"], each["at"]) for name, each in fields.items()}
    return {name: held for name, held in known.items() if held.revision}
