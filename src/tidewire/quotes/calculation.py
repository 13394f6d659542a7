"""Calculates premiums off the request: in stages, told to the quote's room, with an end that is never silent.

A calculation begins with a row in the database, so that every node knows of it; then a task of this node rates and
stores. The row decides: a newer calculation takes it, and then the older one's result is not stored; past its deadline
any node ends it, whoever was calculating. It must not know HTTP, sockets, or who may calculate.
Source: contract.md section 5 (``calculation_progress``); docs/rating.md.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import replace

import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import Conflict, NotFound, StoreError, TidewireError, Unavailable
from tidewire.core.histogram import Histogram
from tidewire.core.tracing import span
from tidewire.quotes import editing
from tidewire.quotes.desk import Desk
from tidewire.quotes.editing import Act, Author
from tidewire.quotes.ending import Ending
from tidewire.quotes.facts import facts_of, premium_of, unrated_product
from tidewire.quotes.model import Premium
from tidewire.quotes.plan import Plan
from tidewire.quotes.rating import STAGES, Rating
from tidewire.store.calculation_record import (
    CalculationRecord,
    CalculationRequest,
    CalculationState,
    NewCalculation,
)
from tidewire.store.calculations import Calculations

# Rating takes a millisecond and storing a few; the requests' bulkhead gives up on the database after 1.5 s. Past this
# the node that calculates is dead, frozen or cut off.
DEADLINE_S = 10.0
# Each holds a task and at most one connection of the pool; a hundred are a second's work.
MAX_RUNNING = 100
# Storing again with the same op_id finds out whether it was stored; while the database says that it may yet answer.
STORE_ATTEMPTS = 4
STORE_PAUSE_S = 0.5

_log = structlog.get_logger(__name__)


class Calculator:
    """See the module's text.

    Args:
        plans: Product -> rating plan.
        node: Told in the row, for people who look for what was going on where.
    """

    def __init__(
        self,
        calculations: Calculations,
        desk: Desk,
        ending: Ending,
        plans: Mapping[str, Plan],
        clock: Clock,
        *,
        node: str,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._calculations = calculations
        self._desk = desk
        self._ending = ending
        self._plans = plans
        self._clock = clock
        self._node = node
        self._deadline_s = deadline_s
        self._tasks: set[asyncio.Task[None]] = set()
        # Calculations of this node that a newer one, begun here, has superseded while they run.
        self._superseded: set[str] = set()
        self._running: set[str] = set()
        self._beginning = 0
        self.counts = dict.fromkeys(("begun", "repeated", "refused", "broken"), 0)
        # How long calculations of this node took, by how they ended.
        self.times = {outcome: Histogram() for outcome in ("calculated", "failed", "overdue")}

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many run."""
        return {**self.counts, "running": len(self._tasks)}

    async def begin(
        self, quote_id: str, author: Author, request: CalculationRequest | None = None
    ) -> CalculationRecord:
        """Begin to calculate a quote's premium; what comes of it is told in its room and by ``latest``.

        Args:
            request: If the same one began a calculation before, on whichever node, that is returned as it was then, and
                nothing begins, whatever has become of the quote since.

        Raises:
            NotFound: There is no such quote.
            Conflict: It is bound or expired, or ``request`` has the key of another one.
            Unavailable: Too many are running.
            StoreError: It has not begun, unless the code is ``outcome_unknown``; the same ``request`` finds that out.
        """
        if request is not None:
            done = await self._calculations.begun_by(quote_id, request)
            if done is not None:
                self.counts["repeated"] += 1
                return done
        if len(self._tasks) + self._beginning >= MAX_RUNNING:
            self.counts["refused"] += 1
            raise Unavailable(
                f"{MAX_RUNNING} calculations are running on this node already.",
                required_action="Wait a second, then ask again.",
                will_not="Tidewire will not queue this calculation.",
                code="too_many_calculations",
                retry_after_ms=1_000,
            )
        self._beginning += 1
        try:
            return await self._begin(quote_id, author, request)
        finally:
            self._beginning -= 1

    async def _begin(self, quote_id: str, author: Author, request: CalculationRequest | None) -> CalculationRecord:
        # Databases keep microseconds; what is answered now must be what a repeated request is answered.
        now = round(self._clock.time(), 6)
        # A change of nothing is refused exactly where any change is.
        editing.apply_edits(await self._desk.quotes.get(quote_id), [], Act(author, now))
        new = NewCalculation(
            secrets.token_hex(8), author.user_id, author.username, self._node, now, round(now + self._deadline_s, 6)
        )
        record, superseded, repeated = await self._calculations.begin(quote_id, new, request)
        if repeated:
            # The same request was faster, here or elsewhere.
            self.counts["repeated"] += 1
            return record
        self.counts["begun"] += 1
        if superseded is not None and superseded.calculation_id in self._running:
            self._superseded.add(superseded.calculation_id)
        self._running.add(record.calculation_id)
        task = background(self.run(record, author, superseded), f"calculation:{record.calculation_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, record.calculation_id))
        return record

    async def latest(self, quote_id: str) -> CalculationRecord:
        """Return a quote's newest calculation. Raises NotFound, StoreError."""
        record = await self._calculations.get(quote_id)
        if record is None:
            raise NotFound(
                "This quote has never been calculated.",
                required_action="Ask for a calculation.",
                will_not="Tidewire will not calculate without being asked.",
            )
        return record

    async def stop(self) -> None:
        """Let what runs end, then cut what has not; other nodes end that at its deadline. Idempotent."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=2.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None], calculation_id: str) -> None:
        # Its death, if it died, is told by ``background``.
        self._tasks.discard(task)
        self._running.discard(calculation_id)
        self._superseded.discard(calculation_id)

    # ---- one calculation

    async def run(self, record: CalculationRecord, author: Author, superseded: CalculationRecord | None = None) -> None:
        """Calculate what has begun; when this returns it has ended, or a sweep will end it.

        Args:
            superseded: What ran until this one began.
        """
        if superseded is not None:
            await self._ending.superseded(superseded)
        began, outcome = self._clock.monotonic(), "failed"
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._calculate(record, author)
            outcome = "calculated"
        except TimeoutError:
            outcome = "overdue"
            await self._ending.overdue(record)
        except TidewireError as error:
            await self._fail(record, error)
        except Exception as error:  # noqa: BLE001 - task root: logged, counted, told
            self.counts["broken"] += 1
            _log.exception("calculation_broke", quote_id=record.quote_id, calculation_id=record.calculation_id)
            await self._fail(record, _broken(error))
        finally:
            self.times[outcome].observe(self._clock.monotonic() - began)

    async def _calculate(self, record: CalculationRecord, author: Author) -> None:
        with span("quote.rating", {"tidewire.quote_id": record.quote_id}):
            premium = await self.premium(record)
        if record.calculation_id in self._superseded:
            # The newer one tells it. The database would refuse the premium too, by two more transactions that other
            # writers would wait for.
            return
        await self._store(record, premium, author)
        await self._ending.tell(replace(record, state=CalculationState.DONE))

    async def premium(self, record: CalculationRecord) -> Premium:
        """Rate what a calculation is for, telling its stages; nothing is stored. Raises InvalidRequest, StoreError."""
        await self._ending.passed(record, STAGES[0], done=False)
        quote = await self._desk.quotes.get(record.quote_id)
        product = quote.value("product")
        plan = self._plans.get(str(product))
        if plan is None:
            raise unrated_product(str(product))
        rating = Rating(plan, facts_of(plan, quote))
        while stage := rating.advance():
            await self._ending.passed(record, stage)
        assert rating.result is not None  # noqa: S101 - the last stage sets it or raises
        return premium_of(
            rating.result,
            calculation_id=record.calculation_id,
            # The facts may be newer than what was announced; if they differ, storing refuses them.
            version=record.based_on_version,
            at=self._clock.time(),
        )

    async def _store(self, record: CalculationRecord, premium: Premium, author: Author) -> None:
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                also = self._calculations.done(record, premium.at)
                await self._desk.rate(record.quote_id, premium, author, also=also)
                return
            except StoreError:
                if attempt == STORE_ATTEMPTS:
                    raise
            await self._clock.sleep(STORE_PAUSE_S * attempt)

    async def _fail(self, record: CalculationRecord, error: TidewireError) -> None:
        stale = isinstance(error, Conflict) and error.code == "superseded"
        await self._ending.end(record, CalculationState.DISCARDED if stale else CalculationState.FAILED, error)


def _broken(error: Exception) -> TidewireError:
    return TidewireError(
        f"The calculation broke ({type(error).__name__}); this is a fault of Tidewire's.",
        required_action="Report it with the calculation_id; then change something, or calculate again.",
        will_not="Tidewire will not show a premium that it could not calculate.",
    )
