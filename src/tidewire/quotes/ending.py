"""How calculations end, and that everybody in the quote's room is told: stages as they pass, ends for certain.

An end is noted in the database first, then told, then noted as told; ``sweep`` takes up whatever stopped in between, on
any node, and ends what is past its deadline because whoever calculated it is gone. It must not know how premiums come
about. Source: docs/rating.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, Detail, RequestError, StoreError, TidewireError
from tidewire.core.throttle import Throttle
from tidewire.hub.hub import Hub
from tidewire.quotes.calculation_wire import KIND, progress_body
from tidewire.quotes.rating import STAGES, Stage
from tidewire.quotes.rules import PREFIX
from tidewire.store.calculation_record import CalculationRecord, CalculationState
from tidewire.store.calculations import Calculations

# How often each node looks for calculations that nobody has ended or told.
SWEEP_EVERY_S = 2.0
SWEEP_MAX = 100

_log = structlog.get_logger(__name__)


class Ending:
    """See the module's text.

    Args:
        ended: Called with each calculation whose end is told; must not block.
    """

    def __init__(
        self,
        calculations: Calculations,
        hub: Hub,
        clock: Clock,
        ended: Callable[[CalculationRecord], None] = lambda _: None,
    ) -> None:
        self._ended = ended
        self._calculations = calculations
        self._hub = hub
        self._clock = clock
        self._unswept = Throttle(every_s=300.0)
        ends = (state.value for state in CalculationState if state != CalculationState.RUNNING)
        self.counts = dict.fromkeys((*ends, "untold", "sweeps_failed"), 0)

    async def sweep(self) -> None:
        """End what is past its deadline, and tell every end that has not been told."""
        try:
            for record in await self._calculations.unfinished(self._clock.time(), SWEEP_MAX):
                if record.state == CalculationState.RUNNING:
                    await self.overdue(record)
                else:
                    await self.tell(record)
        except StoreError as error:
            self.counts["sweeps_failed"] += 1
            if told := self._unswept.admit(self._clock.monotonic()):
                _log.warning("calculation_sweep_failed", failed=told, **error.describe())

    async def overdue(self, record: CalculationRecord) -> None:
        """End a calculation whose time is over."""
        await self.end(record, CalculationState.TIMED_OUT, _late(record))

    async def end(self, record: CalculationRecord, state: CalculationState, error: TidewireError) -> None:
        """Note how a calculation ended and tell it; what cannot be noted now is found by ``sweep`` of any node.

        One that has ended already is left alone, and so is one that is superseded: that has been told.
        """
        described = _described(error)
        try:
            if not await self._calculations.end(record, state, self._clock.time(), described):
                return
        except StoreError as exc:
            _log.warning("calculation_end_unstored", calculation_id=record.calculation_id, **exc.describe())
            return
        await self.tell(replace(record, state=state, error=described))

    async def tell(self, record: CalculationRecord) -> None:
        """Tell an end that is noted."""
        self.counts[record.state.value] += 1
        self._ended(record)
        if not await self._tell(record):
            return
        try:
            await self._calculations.note_told(record)
        except StoreError as exc:
            # It is told once more by a sweep, by the same name, which the room takes once.
            _log.warning("calculation_told_unstored", calculation_id=record.calculation_id, **exc.describe())

    async def passed(self, record: CalculationRecord, stage: Stage, *, done: bool = True) -> None:
        """Tell that a stage is done, or begins; who reads slowly gets the newest alone, and it may be missed."""
        before = STAGES.index(stage) + (1 if done else 0)
        body = progress_body(record, stage, 100 * before // (len(STAGES) + 1))
        try:
            await self._hub.post(PREFIX + record.quote_id, body, kind=KIND, delivery="latest", key=KIND)
        except BusError:
            self.counts["untold"] += 1

    async def superseded(self, record: CalculationRecord) -> None:
        """Tell that a newer calculation has taken the place of this one."""
        self.counts[CalculationState.SUPERSEDED] += 1
        await self._tell(replace(record, state=CalculationState.SUPERSEDED))

    async def _tell(self, record: CalculationRecord) -> bool:
        """Tell an end, which has one place in the room however often it is told; return whether that went out."""
        body = progress_body(record, record.state.value, 100)
        name = f"{record.quote_id}/{record.calculation_id}"
        try:
            await self._hub.post(PREFIX + record.quote_id, body, kind=KIND, op_key=name)
        except BusError as exc:
            self.counts["untold"] += 1
            _log.warning("calculation_end_untold", calculation_id=record.calculation_id, **exc.describe())
            return False
        return True


def _described(error: TidewireError) -> dict[str, Detail]:
    details = error.details if isinstance(error, RequestError) and error.details else None
    return {**error.describe(), **({} if details is None else {"details": dict(details)})}


def _late(record: CalculationRecord) -> TidewireError:
    allowed_s = record.deadline_at - record.started_at
    return TidewireError(
        f"The calculation was not done within {allowed_s:g} s: {record.node} stopped or hangs.",
        required_action="Calculate again.",
        will_not="Tidewire will not use its result if it still comes, nor repeat it by itself.",
        code="calculation_timed_out",
    )
