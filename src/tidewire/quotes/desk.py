"""Where quotes are changed: decide and store in one transaction, then publish what was stored.

Changes of one quote leave this node in the order of their versions. What was stored and could not be published is found
and published by ``healing``. It must not know sockets, HTTP, or who may do what.
Source: architecture.md, the walk of a field edit; docs/decisions/0016.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, Conflict
from tidewire.core.tracing import span
from tidewire.hub.hub import Hub
from tidewire.quotes import editing
from tidewire.quotes.editing import STATUS, SYSTEM, Act, Author, Edit
from tidewire.quotes.model import FIELDS, Premium, Status
from tidewire.quotes.reason import reason_of
from tidewire.quotes.rules import PREFIX
from tidewire.quotes.wire import update_of
from tidewire.store.quote_group import Decide
from tidewire.store.quote_records import Change, Decision, Outcome, Quote
from tidewire.store.quotes import Also, Quotes
from tidewire.store.records import JsonValue

_log = structlog.get_logger(__name__)

# Names quotes that are made with an op_id, so that the same one makes the same quote on any node.
_NAMES = uuid.UUID("5f6a4c53-6a1f-4a55-9d0b-0c3b1f2f7a10")

Same = Callable[[Sequence[Change]], Awaitable[bool]]


class Desk:
    """See the module's text.

    Args:
        stored: Called with what was stored when a quote has been made or changed; must not block.
    """

    def __init__(
        self, quotes: Quotes, hub: Hub, clock: Clock, stored: Callable[[Outcome], None] = lambda _: None
    ) -> None:
        self.quotes = quotes
        self._stored = stored
        self._hub = hub
        self._clock = clock
        # Quote -> its lock, and how many hold or want it.
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self.counts = dict.fromkeys(("stored", "repeated", "refused_reuse", "unpublished", "published"), 0)

    def statistics(self) -> dict[str, int]:
        """Return counters since start."""
        return self.counts

    async def create(self, values: Mapping[str, JsonValue], author: Author, op_id: str | None) -> Outcome:
        """Make a draft; the same ``op_id`` of the same author makes it once. Raises InvalidFields or StoreError."""
        name = uuid.uuid4() if op_id is None else uuid.uuid5(_NAMES, f"{author.user_id}/{op_id}")
        act = Act(author, self._now(), op_id)
        outcome = await self.quotes.add(editing.create(str(name), values, act))

        async def same(changes: Sequence[Change]) -> bool:
            # What was changed since has other names.
            made = {
                each.field: each.after for each in changes if (each.actor_id, each.op_id) == (author.user_id, op_id)
            }
            return made == {name: value for name, value in values.items() if value is not None}

        await self._count(outcome, same)
        return outcome

    async def edit(
        self, quote_id: str, edits: Sequence[Edit], author: Author, op_id: str | None, *, version: int | None = None
    ) -> Outcome:
        """Change fields, all or none.

        Args:
            version: What the quote must have; None: only the fields' revisions are compared.

        Raises:
            NotFound, Conflict, PreconditionFailed: It is not changed.
            StoreError: It is not changed, unless the code is ``outcome_unknown``.
        """
        act = Act(author, self._now(), op_id)

        def decide(quote: Quote) -> Decision:
            if version is not None:
                editing.require_version(quote, version)
            return editing.apply_edits(quote, edits, act)

        async def same(changes: Sequence[Change]) -> bool:
            return await self._sets(quote_id, {edit.field: edit.value for edit in edits}, changes)

        return await self._change(quote_id, decide, act, same)

    async def undo(self, quote_id: str, version: int, author: Author, op_id: str | None) -> Outcome:
        """Put the field of a change back, as a new change. Raises as ``edit``, and InvalidRequest."""
        change = await self.quotes.one_change(quote_id, version)
        act = Act(author, self._now(), op_id)

        async def same(changes: Sequence[Change]) -> bool:
            return changes[0].reason == reason_of("undone", version=version)

        return await self._change(quote_id, lambda quote: editing.undo(quote, change, act), act, same)

    async def bind(self, quote_id: str, version: int, author: Author, op_id: str | None) -> Outcome:
        """Make a quoted quote a contract. Raises as ``edit``."""
        act = Act(author, self._now(), op_id)

        def decide(quote: Quote) -> Decision:
            editing.require_version(quote, version)
            return editing.bind(quote, act)

        async def same(changes: Sequence[Change]) -> bool:
            return changes[0].field == STATUS and changes[0].after == Status.BOUND

        return await self._change(quote_id, decide, act, same)

    async def rate(
        self, quote_id: str, premium: Premium, author: Author = SYSTEM, *, also: Also | None = None
    ) -> Outcome:
        """Store what rating said, once for each calculation.

        Args:
            also: Done in the same transaction.

        Raises as ``edit``, and Conflict (``superseded``) if a fact was changed since; and what ``also`` raises.
        """
        name = premium.calculation_id
        act = Act(author, self._now(), op_id=name, reason=reason_of("calculation", calculation=name))

        def decide(quote: Quote) -> Decision:
            return editing.rate(quote, premium, act)

        return await self._change(quote_id, decide, act, _anything, also)

    async def expire(self, quote_id: str) -> bool:
        """Expire a quote if its time is over; return whether this call did it. Raises NotFound or StoreError."""
        act = Act(SYSTEM, self._now())
        outcome = await self._change(quote_id, lambda quote: editing.expire(quote, act), act, _anything)
        return bool(outcome.changes)

    async def publish(self, quote: Quote, changes: Sequence[Change]) -> None:
        """Send changes to the quote's room; each has one place there, however often it is sent. Raises BusError."""
        for change in changes:
            kind, body = update_of(quote, change)
            await self._hub.post(PREFIX + quote.id, body, kind=kind, op_key=f"{quote.id}/{change.version}")
            self.counts["published"] += 1

    # ---- inside

    def _now(self) -> float:
        # Databases keep microseconds; what is answered now must be what is read later.
        return round(self._clock.time(), 6)

    async def _change(self, quote_id: str, decide: Decide, act: Act, same: Same, also: Also | None = None) -> Outcome:
        actor_id, op_id = act.author.user_id, act.op_id
        with span("quote.change", {"tidewire.quote_id": quote_id}):
            async with self.turn(quote_id):
                outcome = await self.quotes.change(quote_id, decide, actor_id=actor_id, op_id=op_id, also=also)
                await self._count(outcome, same)
                if not outcome.repeated and outcome.changes:
                    try:
                        await self.publish(outcome.quote, outcome.changes)
                    except BusError as error:
                        # It is stored, and the author is told so; the others get it when the broker is back.
                        self.counts["unpublished"] += 1
                        _log.warning("quote_change_unpublished", quote_id=quote_id, **error.describe())
        return outcome

    async def _sets(self, quote_id: str, values: Mapping[str, JsonValue], changes: Sequence[Change]) -> bool:
        """Whether changes are those that setting these values made: what is not among them had its value already."""
        made = {change.field: change.after for change in changes if change.field in FIELDS}
        if not made or made != {name: value for name, value in values.items() if name in made}:
            return False
        if made.keys() == values.keys():
            return True
        before = [one for one in await self.quotes.changes(quote_id) if one.version < changes[0].version]
        quote = editing.replayed(quote_id, before)
        return all(quote.value(name) == value for name, value in values.items() if name not in made)

    async def _count(self, outcome: Outcome, same: Same) -> None:
        if not outcome.repeated:
            self.counts["stored"] += len(outcome.changes)
            if outcome.changes:
                self._stored(outcome)
        elif await same(outcome.changes):
            self.counts["repeated"] += 1
        else:
            self.counts["refused_reuse"] += 1
            raise Conflict(
                "This op_id was used for something else before.",
                required_action="Use a new op_id for each operation, and the same one only to repeat it.",
                will_not="Tidewire will not guess which of the two was meant; this one was not done.",
                code="op_id_reused",
            )

    @asynccontextmanager
    async def turn(self, quote_id: str) -> AsyncIterator[None]:
        """Wait for one's turn with a quote on this node."""
        lock, users = self._locks.get(quote_id, (asyncio.Lock(), 0))
        self._locks[quote_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[quote_id]
            if users == 1:
                del self._locks[quote_id]
            else:
                self._locks[quote_id] = (lock, users - 1)


async def _anything(_: Sequence[Change]) -> bool:
    return True
