"""Who accepts connections for a worker that has ended, until its successor is ready: one of the others.

Connections that the kernel deals to a place without a process would wait for the successor, seconds on an idle machine
and longer on a busy one. A living worker takes them meanwhile, on the same socket, so nobody waits and nobody is reset.
Decision 10. It must not know why a worker has ended, or what is served.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tidewire.app.child import Child
from tidewire.app.ports import SharedPort
from tidewire.app.slot import Slot, SlotState

log = structlog.get_logger(__name__)


class Place:
    """A slot and the process that fills it now."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.child: Child | None = None
        self.heard_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether its process serves."""
        return self.slot.state is SlotState.READY

    @property
    def is_between(self) -> bool:
        """Whether its process has ended and the next one is not ready."""
        state = self.slot.state
        again = state is SlotState.STARTING and self.slot.restarts > 0
        return again or state is SlotState.RESTING or state is SlotState.LOOPING


class Covers:
    """See the module's text.

    Args:
        places: The web workers'.
    """

    def __init__(self, places: Sequence[Place], port: SharedPort) -> None:
        self._places = places
        self._port = port
        self._covering: dict[int, Child] = {}

    def arrange(self) -> None:
        """Make it so, after anything has changed: every place between two processes is covered, no other."""
        serving = [place.child for place in self._places if place.is_ready and place.child is not None]
        for place in self._places:
            number = place.slot.number
            child = self._covering.get(number)
            if child is not None and not (place.is_between and child in serving):
                child.uncover(number)
                del self._covering[number]
            listener = self._port.made(number)
            if place.is_between and number not in self._covering and serving and listener is not None:
                # The one that covers fewest already.
                chosen = min(serving, key=list(self._covering.values()).count)
                if chosen.cover(number, listener):
                    self._covering[number] = chosen
                    log.info("worker_covered", worker=place.slot.name, by_pid=chosen.pid)

    def covered(self, place: Place) -> bool:
        """Whether somebody accepts for it."""
        return place.slot.number in self._covering
