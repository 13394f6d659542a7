"""Who was refused what for a missing permission, as lines of the activity log: one per user, thing and minute.

Refusing costs nobody a write: they are noted in memory and written together by a loop, the first within seconds. A loop
of refusals is a count in the next line, not a line each. What is known at a normal end is written then; a killed
process loses the last seconds. It must not know HTTP, sockets or what needs which permission.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from tidewire.accounts.model import Principal
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.store.activity import ActivityLog
from tidewire.store.records import ActivityEntry, JsonValue

_log = structlog.get_logger(__name__)

# An operator who looks at the log sees a refusal about as soon as anything else that is not pushed.
FLUSH_EVERY_S = 5.0
WINDOW_S = 60.0
# Only people who are logged in get here, and what they may ask is a bounded list; a bound for the memory all the same.
KEYS_MAX = 5_000


@dataclass(slots=True)
class _Noted:
    """What is noted under one key. ``count``: not yet written; ``quiet_until``: monotonic, no new line before."""

    principal: Principal
    at: float
    ip: str
    code: str
    count: int = 1
    quiet_until: float = 0.0


class Refusals:
    """See the module's text.

    Args:
        log: Written to in the background.
    """

    def __init__(self, log: ActivityLog, clock: Clock) -> None:
        self._activity = log
        self._clock = clock
        # (user, action, what was asked) -> what happened there.
        self._noted: dict[tuple[int, str, str], _Noted] = {}
        self.noted = 0
        self.written = 0
        self.untold = 0

    def note(self, principal: Principal, action: str, asked: str, ip: str, code: str) -> None:
        """Note one refusal. Never raises, never waits.

        Args:
            action: ``access.refused`` or ``message.refused``.
            asked: The route or message, without what the caller put into it.
            code: Of the error that was answered.
        """
        self.noted += 1
        key, now = (principal.user_id, action, asked), self._clock.time()
        found = self._noted.get(key)
        if found is not None:
            if not found.count:
                found.principal, found.at, found.ip, found.code = principal, now, ip, code
            found.count += 1
        elif len(self._noted) < KEYS_MAX:
            self._noted[key] = _Noted(principal, now, ip, code)
        else:
            self.untold += 1

    async def flush(self, *, everything: bool = False) -> None:
        """Write what is due; what cannot be written now is kept. ``everything``: at the end of the process."""
        now = self._clock.monotonic()
        for key, found in list(self._noted.items()):
            if found.quiet_until > now and not everything:
                continue
            if not found.count:
                del self._noted[key]
                continue
            if not await self._write(key, found):
                return
            found.quiet_until = now + WINDOW_S

    async def _write(self, key: tuple[int, str, str], found: _Noted) -> bool:
        """Write one line; False if the database failed. What comes meanwhile is for the next line."""
        count, found.count = found.count, 0
        written = False
        try:
            await self._activity.write(_entry(key, found, count))
            written = True
        except StoreError as error:
            _log.warning("refusals_unwritten", refused=count, **error.describe())
        finally:
            # Cancelled in the middle, as at the end of the process, it is noted still: rather twice than not at all.
            if not written:
                found.count += count
        self.written += written
        return written

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how much is remembered."""
        return {"noted": self.noted, "lines": self.written, "untold": self.untold, "keys": len(self._noted)}


def _entry(key: tuple[int, str, str], found: _Noted, count: int) -> ActivityEntry:
    details: dict[str, JsonValue] = {"outcome": "refused", "error": found.code, "count": count}
    return ActivityEntry(
        at=found.at,
        actor=found.principal.username,
        actor_id=found.principal.user_id,
        action=key[1],
        target=key[2],
        details=details,
        ip=found.ip,
    )
