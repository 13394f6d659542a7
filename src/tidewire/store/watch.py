"""Asks the database every second whether it answers, and says so once per change. It must not know who uses it.

While it is down, every use is refused at once (``Health.refusal``) and this loop alone keeps asking, on a connection of
its own, so that a full pool is not taken for a dead server and a dead server is not asked by everybody.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.store.bulkhead import PROBE
from tidewire.store.database import Database

log = structlog.get_logger(__name__)

PROBE_EVERY_S = 1.0
# An answer older than this is no answer: the loop itself stands still.
STALE_S = 10.0


class Watch:
    """See the module's text.

    Args:
        uses: Every use of the database; the first one's state is the state of all.
    """

    def __init__(self, uses: Sequence[Database], clock: Clock, *, every_s: float = PROBE_EVERY_S) -> None:
        self._uses = uses
        self._clock = clock
        self._probe = uses[0].beside(PROBE)
        self.health = uses[0].health
        self.loop = WatchedLoop("database-watch", every_s, self.look, clock)
        self._round_trip_ms = 0.0
        self._looked_at: float | None = None
        self.probes_failed = 0

    async def start(self) -> None:
        """Look once, then every second. Raises StoreError if the database does not answer now."""
        self._round_trip_ms = await self._probe.probe()
        self._note(self._clock.time(), None)
        self.loop.start()

    async def stop(self) -> None:
        """Stop looking. Idempotent."""
        await self.loop.stop()
        await self._probe.stop()

    async def look(self) -> None:
        """Ask once; at once a second time if the answer was late, which may have been this process's own stall."""
        for _ in range(2):
            try:
                self._round_trip_ms = await self._probe.probe()
            except StoreError as error:
                self.probes_failed += 1
                self._note(self._clock.time(), error)
                if error.code != "storage_timeout":
                    return
            else:
                self._note(self._clock.time(), None)
                return

    async def check(self) -> float:
        """Return the last round trip in milliseconds. Raises StoreError unless the state is ``up``.

        It asks nothing of the database: whoever asks for health often must not become load.
        """
        if self.health.error is not None:
            raise self.health.error
        if self._looked_at is None or self._clock.monotonic() - self._looked_at > STALE_S:
            raise StoreError(
                "Nobody has asked the database for a while.",
                required_action="Look for a stalled event loop in the log; restart this process.",
                will_not="Tidewire will not call a database healthy that it has not asked.",
            )
        return self._round_trip_ms

    def statistics(self) -> dict[str, float]:
        """Return the state as numbers: up, read-only or overloaded, down, and since when."""
        return {
            "up": float(self.health.state == "up"),
            "degraded": float(self.health.state == "degraded"),
            "down": float(self.health.state == "down"),
            "since_timestamp_seconds": self.health.since,
            "round_trip_seconds": self._round_trip_ms / 1000,
        }

    def counters(self) -> dict[str, float]:
        """Return what only rises."""
        return {"state_changes": self.health.changes, "probes_failed": self.probes_failed}

    def _note(self, wall: float, found: StoreError | None) -> None:
        since, self._looked_at = self.health.since, self._clock.monotonic()
        changed = self.health.answered(wall) if found is None else self.health.failed(wall, found)
        if not changed:
            return
        if found is None:
            log.info("database_up", after_s=round(wall - since, 3) if since else None)
            return
        facts = {
            "code": found.code,
            "message": found.message,
            "required_action": found.required_action,
            "will_not": "Tidewire will not let in anybody whom it cannot check; open connections go on.",
        }
        if self.health.state != "down":
            log.error("database_degraded", **facts)
            return
        log.error("database_down", **facts)
        # They lead to a server that is not there; each would cost somebody a deadline after it is back.
        for use in self._uses:
            use.cut()
