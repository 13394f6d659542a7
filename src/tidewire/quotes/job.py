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
    Publishing is by name, so that it does not matter if several nodes, or the author's own, do it.
    """

    def __init__(self, desk: Desk, hub: Hub, clock: Clock) -> None:
        self._desk = desk
        self._hub = hub
        self._clock = clock
        # Whoever is connected to this node has read its quotes since then.
        self._began = self._since = clock.time()
        self._untold = Throttle(every_s=300.0)
        # Quotes that were found behind in the round before, with the version: not merely on its way.
        self._suspects: dict[str, int] = {}
        self.healed = 0
        self.failed = 0

    async def step(self) -> None:
        """Compare once."""
        now = self._clock.time()
        since = self._since
        rooms = self._hub.features.occupied(PREFIX)
        try:
            behind: dict[str, int] = {}
            for first in range(0, len(rooms), CHUNK):
                numbers = [room[len(PREFIX) :] for room in rooms[first : first + CHUNK]]
                behind |= self._behind(await self._desk.quotes.versions(numbers, since))
            for quote_id in [quote_id for quote_id in behind if quote_id in self._suspects]:
                if not await self._heal(quote_id, min(behind[quote_id], self._suspects[quote_id]), since):
                    # What its room lacks is older than this round's question.
                    del behind[quote_id]
            self._suspects = behind
        except (StoreError, BusError) as error:
            self.failed += 1
            told = self._untold.admit(self._clock.monotonic())
            if told:
                _log.warning("quote_healing_failed", failed=told, **error.describe())
            return
        # Whoever is behind is looked at again until it is not, however long the log has been away.
        self._since = since if behind else max(self._began, now - OVERLAP_S)

    def _behind(self, versions: Mapping[str, int]) -> dict[str, int]:
        return {quote_id: version for quote_id, version in versions.items() if self._lacks(quote_id, version)}

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
        changes = await self._desk.quotes.changes(quote_id)
        seen = self._seen(quote_id)
        # Below the oldest the room has forgotten by age. How a quote was made has never been published: whoever enters
        # gets the whole state.
        oldest, since = min(seen, default=0), max(since, quote.created_at)
        wanted = [change for change in changes if oldest < change.version <= newest and change.at > since]
        missing = [change for change in wanted if change.version not in seen]
        await self._desk.publish(quote, missing)
        self.healed += len(missing)
        if missing:
            _log.warning("quote_changes_healed", quote_id=quote_id, count=len(missing), newest=newest)
        return len(missing)
