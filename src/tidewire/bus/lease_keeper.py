"""Asks for a lease again and again, renews it, and tells when it came or went. It must not know what is leased."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from tidewire.bus.lease import Lease, LeaseAnswer, LeaseTiming, Standing
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.throttle import Throttle

log = structlog.get_logger(__name__)


class LeaseStore(Protocol):
    """Where the lease is kept."""

    async def ask(self) -> LeaseAnswer:
        """Take the lease if it is free, renew it if it is ours. Raises BusError."""
        ...

    async def release(self) -> None:
        """Give it back if it is ours. Raises BusError."""
        ...

    async def close(self) -> None:
        """Drop the connection. Idempotent."""
        ...


class LeaseKeeper:
    """See the module's text.

    Args:
        store: Where the lease is kept.
        clock: Time; its monotonic side must go on while the process is stopped (Linux: CLOCK_MONOTONIC does).
        changed: Called after every change of standing or number, on the event loop; must not block.
        name: Which lease, for logs.
        loses: What the one that lost it will not do.
    """

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        changed: Callable[[], None],
        *,
        timing: LeaseTiming | None = None,
        name: str = "feed",
        loses: str = "This feed publishes nothing until it holds the lease again.",
    ) -> None:
        self._name, self._loses = name, loses
        self._store = store
        self._clock = clock
        self._changed = changed
        self._lease = Lease(timing)
        self._task: asyncio.Task[None] | None = None
        self._throttle = Throttle()
        self.failures = 0

    @property
    def holder(self) -> str:
        """Who led when we last heard; empty if nobody or unknown."""
        return self._lease.holder

    @property
    def reason(self) -> str:
        """Why we do not lead; empty while we do."""
        return self._lease.reason

    def fence(self) -> int | None:
        """Return our number while we certainly lead, else None. Cheap: asked before every publication."""
        return self._lease.fence if self._lease.leads(self._clock.monotonic()) else None

    def start(self) -> None:
        """Begin to ask. Raises RuntimeError if it does already."""
        if self._task is not None:
            raise RuntimeError("the lease is asked for already")
        self._task = background(self._run(), f"{self._name}-lease")

    async def stop(self) -> None:
        """Stop asking and give the lease back, so that a successor need not wait. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        led = self._lease.standing is Standing.LEADING
        self._lease.resign()
        try:
            if led:
                await self._store.release()
        except BusError as exc:
            log.warning(f"{self._name}_lease_not_released", **exc.describe())
        finally:
            await self._store.close()

    async def _run(self) -> None:
        while True:
            await self._ask()
            await self._clock.sleep(self._lease.ask_again_s())
            # After a freeze this is the first thing that runs, before the next question is answered.
            self._note(self._lease.expire(self._clock.monotonic()))

    async def _ask(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            answer = await self._store.ask()
        except Exception as exc:  # noqa: BLE001 - task root: whatever it is, it is told and asked again
            self.failures += 1
            self._lease.unanswered()
            self._tell(exc)
            self._note(self._lease.expire(self._clock.monotonic(), f"the lease could not be renewed: {exc}"))
            return
        changed = self._lease.answered(asked_at, answer)
        # The answer itself may have come too late to be worth anything.
        expired = self._lease.expire(self._clock.monotonic())
        self._note(changed or expired)

    def _note(self, changed: bool) -> None:
        if not changed:
            return
        if self._lease.standing is Standing.LEADING:
            log.info(f"{self._name}_lease_held", fence=self._lease.fence)
        else:
            log.warning(
                f"{self._name}_lease_lost",
                what_happened=self._lease.reason,
                holder=self._lease.holder,
                required_action="None if another process has taken over; otherwise look at Redis.",
                will_not=self._loses,
            )
        self._changed()

    def _tell(self, error: Exception) -> None:
        count = self._throttle.admit(self._clock.monotonic())
        if count:
            described = error.describe() if isinstance(error, BusError) else {"message": repr(error)}
            log.warning(f"{self._name}_lease_unasked", attempts=count, **described)
