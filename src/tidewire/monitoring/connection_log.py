"""Writes the record of client connections to the database, in batches and off the hot path.

The hub tells of connections that were let in and of those that ended; a loop writes what has gathered. It must not know
sockets or rooms. Queue: at most ``max_rows`` rows wait; overflow policy: the newest is not recorded, and counted. While
the database is away rows wait, however long; a batch that an answering database refuses for ``ATTEMPTS`` rounds is
given up, and counted, or it would hold up all that come after it.
Source: contract.md section 7, ``websocket_connections``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.core.throttle import Throttle
from tidewire.hub.registry import ConnectionInfo
from tidewire.store.connections import Connections
from tidewire.store.records import ConnectionRecord

log = structlog.get_logger(__name__)

FLUSH_EVERY_S = 1.0
# One transaction; SQLite writes this in about 20 ms.
BATCH = 500
MAX_ROWS = 20_000
# A batch refused so often while the database answers is at fault itself.
ATTEMPTS = 10
# Codes that say nothing about the batch: it is tried again until it is written. Writing twice is harmless.
_AWAY = frozenset(
    {
        "storage_unavailable",
        "storage_timeout",
        "storage_overloaded",
        "storage_read_only",
        "storage_full",
        "storage_busy",
        "storage_refused",
        "outcome_unknown",
    }
)
# How often a living connection's row is brought up to date, so that little is lost if this process dies.
REFRESH_EVERY_S = 60.0
KEEP_S = 30 * 86_400.0

Rows = dict[str, ConnectionRecord]


class ConnectionLog:
    """See the module's text.

    Args:
        node: Name of this process in the rows.
        look_up: Returns a living connection as it is now, None if it is gone.
    """

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        *,
        node: str,
        look_up: Callable[[str], ConnectionInfo | None],
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._node = node
        self._look_up = look_up
        self._max_rows = max_rows
        self._opened: Rows = {}
        self._changed: Rows = {}
        # Recorded and alive; the ring is the order in which their rows are brought up to date.
        self._living: set[str] = set()
        self._ring: deque[str] = deque()
        self._attempts = 0
        self._throttle = Throttle()
        self.written = 0
        self.dropped = 0
        self.failed_batches = 0

    async def start(self) -> None:
        """End the rows that an earlier life of this node left open. Raises StoreError."""
        await self._connections.end_orphans(self._node)

    def opened(self, info: ConnectionInfo) -> None:
        """A connection has been let in, or an anonymous one has said who it is."""
        known = info.connection_id in self._living
        if known and info.connection_id not in self._opened:
            self._changed[info.connection_id] = self._record(info)
            return
        if not known:
            if self._waiting() >= self._max_rows:
                self.dropped += 1
                return
            self._living.add(info.connection_id)
            self._ring.append(info.connection_id)
        self._opened[info.connection_id] = self._record(info)

    def closed(self, info: ConnectionInfo) -> None:
        """A connection has ended; one that was never let in has no row."""
        if info.connection_id not in self._living:
            return
        self._living.discard(info.connection_id)
        rows = self._opened if info.connection_id in self._opened else self._changed
        rows[info.connection_id] = self._record(info)

    async def flush(self) -> None:
        """Write what has gathered; called every ``FLUSH_EVERY_S``."""
        self._refresh()
        while self._opened or self._changed:
            opened, changed = _take(self._opened), _take(self._changed)
            try:
                await self._connections.write(list(opened.values()), list(changed.values()))
            except StoreError as exc:
                self._keep(opened, changed, exc)
                return
            self._attempts = 0
            self.written += len(opened) + len(changed)

    async def close(self) -> None:
        """Write what is left; what cannot be written now is lost, counted and told."""
        await self.flush()
        lost = self._waiting()
        if lost:
            self.dropped += lost
            self._opened, self._changed = {}, {}
            log.error(
                "connection_log_lost",
                rows=lost,
                required_action="Restore the database before the next end, if the record matters.",
                will_not="Tidewire will not keep a process alive for the record of its connections.",
            )

    async def purge(self) -> None:
        """Delete rows of connections that ended long ago. Raises StoreError."""
        await self._connections.purge(self._clock.time() - KEEP_S)

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many rows wait."""
        return {
            "written": self.written,
            "dropped": self.dropped,
            "failed_batches": self.failed_batches,
            "waiting": self._waiting(),
        }

    def _waiting(self) -> int:
        return len(self._opened) + len(self._changed)

    def _refresh(self) -> None:
        """Bring a part of the living up to date, so that each has its turn once in ``REFRESH_EVERY_S``."""
        for _ in range(min(len(self._ring), 1 + round(len(self._ring) * FLUSH_EVERY_S / REFRESH_EVERY_S))):
            connection_id = self._ring.popleft()
            if connection_id not in self._living:
                continue
            self._ring.append(connection_id)
            info = self._look_up(connection_id)
            if info is not None and connection_id not in self._opened and self._waiting() < self._max_rows:
                self._changed[connection_id] = self._record(info)

    def _keep(self, opened: Rows, changed: Rows, error: StoreError) -> None:
        """Put a batch back, or give it up."""
        self.failed_batches += 1
        self._attempts += error.code not in _AWAY
        if self._attempts >= ATTEMPTS:
            self.dropped += len(opened) + len(changed)
            self._attempts = 0
        else:
            # What was told meanwhile is newer.
            for connection_id in opened:
                opened[connection_id] = self._changed.pop(connection_id, opened[connection_id])
            self._opened = opened | self._opened
            self._changed = changed | self._changed
        told = self._throttle.admit(self._clock.monotonic())
        if told:
            log.warning(
                "connection_log_failed",
                failed=told,
                waiting=self._waiting(),
                dropped=self.dropped,
                code=error.code,
                message=error.message,
                required_action=error.required_action,
                will_not="Tidewire will not delay connections because their record cannot be written.",
            )

    def _record(self, info: ConnectionInfo) -> ConnectionRecord:
        return ConnectionRecord(
            connection_id=info.connection_id,
            node=self._node,
            user_id=info.user_id,
            session_id=info.session_id,
            ip_address=info.ip,
            user_agent=info.user_agent,
            path=info.path,
            protocol=info.protocol,
            connected_at=info.connected_at,
            last_activity=info.last_activity,
            disconnected_at=info.closed_at,
            close_code=info.close_code if info.closed_at is not None else None,
            messages_in=info.messages_in,
            messages_out=info.messages_out,
            bytes_in=info.bytes_in,
            bytes_out=info.bytes_out,
        )


def _take(rows: Rows) -> Rows:
    """Remove and return the oldest rows, as many as go into one transaction."""
    taken = dict(islice(rows.items(), BATCH))
    for connection_id in taken:
        del rows[connection_id]
    return taken
