"""What is done for quotes without anybody asking: expiring those whose time is over, publishing what was not published.

Every node runs both; each step is done once, whichever node is first. It must not know sockets or HTTP.
Source: docs/decisions/0016.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, StoreError
from tidewire.core.throttle import Throttle
from tidewire.hub.hub import Hub
from tidewire.quotes.desk import Desk
from tidewire.quotes.model import Status
from tidewire.quotes.rules import PLAIN, PREFIX, RULES
from tidewire.quotes.wire import version_of

_log = structlog.get_logger(__name__)

# A quote whose time is over refuses edits at once; that the list says so may take a minute.
EXPIRE_EVERY_S = 60.0
# One batch takes well under a second, so that edits in between are not held up.
EXPIRE_BATCH = 100
HEAL_EVERY_S = 2.0
# Nodes' clocks may differ by this much, and a round may be late by as much again.
OVERLAP_S = 30.0
# Numbers in one query; SQLite takes 999.
CHUNK = 500


class Expiry:
    """Expires quotes, in bounded batches."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._untold = Throttle(every_s=300.0)
        self.expired = 0
        self.failed = 0

    async def step(self) -> int:
        """Expire at most a batch; return how many this call expired."""
        expired = 0
        try:
            due = await self._desk.quotes.due([Status.DRAFT, Status.QUOTED], self._clock.time(), EXPIRE_BATCH)
            for quote_id in due:
                expired += await self._desk.expire(quote_id)
        except StoreError as error:
            self.failed += 1
            told = self._untold.admit(self._clock.monotonic())
            if told:
                _log.warning("quote_expiry_failed", failed=told, **error.describe())
        self.expired += expired
        return expired

    async def run(self) -> None:
        """Expire all that are due, batch by batch."""
        while await self.step() == EXPIRE_BATCH:
            pass


class Healing:
    """Finds changes that were stored and not published (a killed node, a broker that was away), and publishes them.

    Of the quotes that somebody on this node looks at, those changed lately are compared with what the room remembers.
    One that nobody here looked at a round ago is compared however old its changes are: who resumes may have been away
    for longer than this node lives. Publishing is by name, so that several nodes, or the author's own, may do it.
    """

    def __init__(self, desk: Desk, hub: Hub, clock: Clock) -> None:
        self._desk = desk
        self._hub = hub
        self._clock = clock
        self._began = self._since = clock.time()
        self._untold = Throttle(every_s=300.0)
        # Quotes that were found behind in the round before, with the version: not merely on its way.
        self._suspects: dict[str, int] = {}
        # Quotes that were looked at in the round before, and of which nothing was missing.
        self._whole: frozenset[str] = frozenset()
        self.healed = 0
        self.reminded = 0
        self.failed = 0

    async def step(self) -> None:
        """Compare once."""
        now = self._clock.time()
        numbers = [room[len(PREFIX) :] for room in self._hub.features.occupied(PREFIX)]
        # Rooms that end with this process: whoever is in one has read its quote since then.
        first = 0.0 if self._hub.features.outlived else self._began
        since = {number: self._since if number in self._whole else first for number in numbers}
        try:
            behind = await self._compare(since)
            for number in [number for number in behind if number in self._suspects]:
                newest = min(behind[number], self._suspects[number])
                begins = since[number] if number in self._whole else max(first, now - RULES.history_age_s)
                if not await self._heal(number, newest, begins):
                    # What its room lacks is older than this round's question.
                    del behind[number]
        except (StoreError, BusError) as error:
            self.failed += 1
            told = self._untold.admit(self._clock.monotonic())
            if told:
                _log.warning("quote_healing_failed", failed=told, **error.describe())
            return
        self._suspects = behind
        self._whole = frozenset(numbers).difference(behind)
        # Whoever is behind is looked at again until it is not, however long the log has been away.
        self._since = max(self._began, now - OVERLAP_S)

    async def _compare(self, since: Mapping[str, float]) -> dict[str, int]:
        """Return the quotes of whose changes after a moment the room lacks some, with their versions."""
        behind: dict[str, int] = {}
        for moment in set(since.values()):
            numbers = [number for number, begins in since.items() if begins == moment]
            for first in range(0, len(numbers), CHUNK):
                versions = await self._desk.quotes.versions(numbers[first : first + CHUNK], moment)
                behind |= {number: version for number, version in versions.items() if self._lacks(number, version)}
        return behind

    def _lacks(self, quote_id: str, version: int) -> bool:
        seen = self._seen(quote_id)
        return not seen.issuperset(range(min(seen, default=version), version + 1))

    def _seen(self, quote_id: str) -> set[int]:
        messages = self._hub.history(PREFIX + quote_id, RULES.history_messages, PLAIN)
        # Messages that are no changes, such as the end of a calculation, have no version.
        return set(map(version_of, messages)) - {0}

    async def _heal(self, quote_id: str, newest: int, since: float) -> int:
        """Publish what is missing up to version ``newest``; return how many changes that were."""
        quote = await self._desk.quotes.get(quote_id)
        seen = self._seen(quote_id)
        # Below the oldest the room has forgotten by age. How a quote was made has never been published: whoever enters
        # gets the whole state.
        young = quote.updated_at > since
        oldest = min(seen, default=0 if young else newest - 1)
        changes = await self._desk.quotes.changes(quote_id, after=oldest)
        since = max(since, quote.created_at)
        missing = [each for each in changes if each.version <= newest and each.version not in seen]
        # If all is older than what rooms remember, nobody knows what was published; from the newest a page sees that it
        # lacks something.
        missing = [each for each in missing if each.at > since] if young else missing[-1:]
        await self._desk.publish(quote, missing)
        if not young:
            self.reminded += len(missing)
        elif missing:
            self.healed += len(missing)
            _log.warning("quote_changes_healed", quote_id=quote_id, count=len(missing), newest=newest)
        return len(missing)
