"""Calculates premiums off the request: in stages, told to the quote's room, with an end that is never silent.

A calculation begins with a row in the database, so that every node knows of it; then a task of this node rates and
stores. The row decides: a newer calculation takes it, and then the older one's result is not stored; past its deadline
any node ends it, whoever was calculating. Stages are told as they pass and may be missed; the end has a place in the
room, and what could not be told is told later by ``sweep``. It must not know HTTP, sockets, or who may calculate.
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
from tidewire.core.errors import BusError, Conflict, NotFound, RequestError, StoreError, TidewireError, Unavailable
from tidewire.hub.hub import Hub
from tidewire.quotes import calculation_wire, editing
from tidewire.quotes.desk import Desk
from tidewire.quotes.editing import Act, Author
from tidewire.quotes.facts import facts_of, premium_of, unrated_product
from tidewire.quotes.model import Premium
from tidewire.quotes.plan import Plan
from tidewire.quotes.rating import STAGES, Rating
from tidewire.quotes.rules import PREFIX
from tidewire.store.calculation_record import UNDER_WAY, CalculationRecord, CalculationState, NewCalculation
from tidewire.store.calculations import Calculations
from tidewire.store.records import JsonValue

# Rating takes a millisecond and storing a few; the requests' bulkhead gives up on the database after 1.5 s. Past this
# the node that calculates is dead, frozen or cut off.
DEADLINE_S = 10.0
# How often each node looks for calculations that nobody ended.
SWEEP_EVERY_S = 2.0
SWEEP_MAX = 100
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
        hub: Hub,
        plans: Mapping[str, Plan],
        clock: Clock,
        *,
        node: str,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._calculations = calculations
        self._desk = desk
        self._hub = hub
        self._plans = plans
        self._clock = clock
        self._node = node
        self._deadline_s = deadline_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts = dict.fromkeys(
            (
                "begun",
                "refused",
                "untold",
                "broken",
                *(state.value for state in CalculationState if state not in UNDER_WAY),
            ),
            0,
        )

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many run."""
        return {**self.counts, "running": len(self._tasks)}

    async def begin(self, quote_id: str, author: Author) -> CalculationRecord:
        """Begin to calculate a quote's premium; what comes of it is told in its room and by ``latest``.

        Raises:
            NotFound: There is no such quote.
            Conflict: It is bound or expired.
            Unavailable: Too many are running.
            StoreError: It has not begun, unless the code is ``outcome_unknown``.
        """
        if len(self._tasks) >= MAX_RUNNING:
            self.counts["refused"] += 1
            raise Unavailable(
                f"{len(self._tasks)} calculations are running on this node already.",
                required_action="Wait a second, then ask again.",
                will_not="Tidewire will not queue this calculation.",
                code="too_many_calculations",
                retry_after_ms=1_000,
            )
        now = self._clock.time()
        # A change of nothing is refused exactly where any change is.
        editing.apply_edits(await self._desk.quotes.get(quote_id), [], Act(author, now))
        new = NewCalculation(
            secrets.token_hex(8), author.user_id, author.username, self._node, now, now + self._deadline_s
        )
        record, superseded = await self._calculations.begin(quote_id, new)
        self.counts["begun"] += 1
        task = background(self._run(record, superseded, author), f"calculation:{record.calculation_id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
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

    async def sweep(self) -> None:
        """End what is past its deadline, and tell every end that has not been told. Raises StoreError."""
        for record in await self._calculations.unfinished(self._clock.time(), SWEEP_MAX):
            if record.state in UNDER_WAY:
                await self._overdue(record)
            else:
                await self._tell_end(record)

    async def stop(self) -> None:
        """Let what runs end, then cut what has not; other nodes end that at its deadline. Idempotent."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=2.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Its death, if it died, is told by ``background``.
        self._tasks.discard(task)

    # ---- one calculation

    async def _run(self, record: CalculationRecord, superseded: CalculationRecord | None, author: Author) -> None:
        if superseded is not None:
            self.counts["superseded"] += 1
            await self._tell(replace(superseded, state=CalculationState.SUPERSEDED))
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._calculate(record, author)
        except TimeoutError:
            await self._overdue(record)
        except TidewireError as error:
            await self._fail(record, error)
        except Exception as error:  # noqa: BLE001 - task root: logged, counted, told
            self.counts["broken"] += 1
            _log.exception("calculation_broke", quote_id=record.quote_id, calculation_id=record.calculation_id)
            await self._fail(record, _broken(error))

    async def _calculate(self, record: CalculationRecord, author: Author) -> None:
        premium = await self._rate(record)
        if not await self._calculations.move(record, CalculationState.STORING):
            # A newer one has the row and has told so; or the deadline has passed, and whoever saw it has told that.
            return
        await self._store(record, premium, author)
        await self._end(record, CalculationState.DONE)

    async def _rate(self, record: CalculationRecord) -> Premium:
        await self._tell(record, "validate", 0)
        quote = await self._desk.quotes.get(record.quote_id)
        product = quote.value("product")
        plan = self._plans.get(str(product))
        if plan is None:
            raise unrated_product(str(product))
        rating = Rating(plan, facts_of(plan, quote))
        while stage := rating.advance():
            await self._tell(record, stage, 100 * (STAGES.index(stage) + 1) // (len(STAGES) + 1))
        assert rating.result is not None  # noqa: S101 - the last stage sets it or raises
        return premium_of(
            rating.result,
            calculation_id=record.calculation_id,
            # What the facts were read from may be newer than what was announced; a change in between is seen when storing.
            version=record.based_on_version,
            at=self._clock.time(),
        )

    async def _store(self, record: CalculationRecord, premium: Premium, author: Author) -> None:
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                await self._desk.rate(record.quote_id, premium, author)
                return
            except StoreError:
                if attempt == STORE_ATTEMPTS:
                    raise
            await self._clock.sleep(STORE_PAUSE_S * attempt)

    async def _fail(self, record: CalculationRecord, error: TidewireError) -> None:
        stale = isinstance(error, Conflict) and error.code == "superseded"
        await self._end(record, CalculationState.DISCARDED if stale else CalculationState.FAILED, error)

    async def _overdue(self, record: CalculationRecord) -> None:
        """End a calculation whose time is over; if its result is stored all the same, that is its end."""
        try:
            quote = await self._desk.quotes.get(record.quote_id)
        except StoreError as exc:
            _log.warning("calculation_end_unknown", calculation_id=record.calculation_id, **exc.describe())
            return
        if (quote.premium or {}).get("calculation_id") == record.calculation_id:
            await self._end(record, CalculationState.DONE)
        else:
            await self._end(record, CalculationState.TIMED_OUT, _late(record))

    # ---- ends

    async def _end(
        self, record: CalculationRecord, state: CalculationState, error: TidewireError | None = None
    ) -> None:
        """Note how a calculation ended and tell it; what cannot be noted now is found by ``sweep`` of any node."""
        told = None if error is None else _described(error)
        try:
            if not await self._calculations.move(record, state, ended_at=self._clock.time(), error=told):
                return
        except StoreError as exc:
            _log.warning("calculation_end_unstored", calculation_id=record.calculation_id, **exc.describe())
            return
        self.counts[state.value] += 1
        await self._tell_end(replace(record, state=state, error=told))

    async def _tell_end(self, record: CalculationRecord) -> None:
        if not await self._tell(record):
            return
        try:
            await self._calculations.note_told(record)
        except StoreError as exc:
            # It is told once more by a sweep, with the same name, which the room takes once.
            _log.warning("calculation_told_unstored", calculation_id=record.calculation_id, **exc.describe())

    async def _tell(self, record: CalculationRecord, stage: str = "", progress: int = 100) -> bool:
        """Tell a stage, which may be missed, or without one the end, which has a place; return whether that went out."""
        body = calculation_wire.progress_body(record, stage or record.state.value, progress)
        room = PREFIX + record.quote_id
        try:
            if stage:
                await self._hub.post(room, body, kind=calculation_wire.KIND, delivery="latest", key="calculation")
            else:
                name = f"{record.quote_id}/{record.calculation_id}"
                await self._hub.post(room, body, kind=calculation_wire.KIND, op_key=name)
        except BusError as exc:
            self.counts["untold"] += 1
            if not stage:
                _log.warning("calculation_end_untold", calculation_id=record.calculation_id, **exc.describe())
            return False
        return True


def _described(error: TidewireError) -> dict[str, JsonValue]:
    details = error.details if isinstance(error, RequestError) and error.details else None
    return {**error.describe(), **({} if details is None else {"details": dict(details)})}  # type: ignore[dict-item]


def _broken(error: Exception) -> TidewireError:
    return TidewireError(
        f"The calculation broke ({type(error).__name__}); this is a fault of Tidewire's.",
        required_action="Report it with the calculation_id; then change something, or calculate again.",
        will_not="Tidewire will not show a premium that it could not calculate.",
    )


def _late(record: CalculationRecord) -> TidewireError:
    return TidewireError(
        f"The calculation was not done within {record.deadline_at - record.started_at:g} s: {record.node} stopped or hangs.",
        required_action="Calculate again.",
        will_not="Tidewire will not use its result if it still comes, nor repeat it by itself.",
        code="calculation_timed_out",
    )
