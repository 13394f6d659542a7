"""How this process reaches what nodes share, and what was last wrong with it. It must not know who is told.

The bus and the room log say how they are now; after a recovery an operator still wants to know what it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidewire.bus.base import Bus, Watch
from tidewire.bus.room_log import RoomLog
from tidewire.hub.node_info import Reach


class ReachWatch:
    """See the module's text.

    Args:
        log: None where rooms are not shared.
    """

    def __init__(self, bus: Bus, log: RoomLog | None) -> None:
        self._bus = bus
        self._log = log
        self._errors: dict[str, tuple[str, float]] = {}
        self._watches: list[Watch] = []

    def start(self) -> None:
        """Remember errors from now on."""
        self._watches = [self._bus.on_state(lambda _: self._note())]
        if self._log is not None:
            self._watches.append(self._log.on_state(self._note))

    def stop(self) -> None:
        """Stop. Idempotent."""
        for watch in self._watches:
            watch.close()
        self._watches = []

    def now(self) -> Mapping[str, Reach]:
        """Return how each is now, with its last error since the start."""
        self._note()
        bus = self._bus.status()
        error, at = self._errors.get("bus", ("", None))
        found = {
            "bus": Reach(
                kind=bus.kind,
                state=bus.state,
                since=bus.since,
                reason=bus.reason,
                last_error=error,
                last_error_at=at,
                rtt_ms=bus.rtt_ms,
            )
        }
        if self._log is not None:
            log = self._log.status()
            error, at = self._errors.get("room_log", ("", None))
            found["room_log"] = Reach(
                kind="redis",
                state=log.state,
                since=log.since,
                reason=log.reason,
                circuit=log.circuit,
                last_error=error,
                last_error_at=at,
                rtt_ms=log.rtt_ms,
            )
        return found

    def _note(self) -> None:
        bus = self._bus.status()
        if bus.state != "up":
            self._errors["bus"] = (bus.reason, bus.since)
        if self._log is not None:
            log = self._log.status()
            if log.state != "up":
                self._errors["room_log"] = (log.reason, log.since)
