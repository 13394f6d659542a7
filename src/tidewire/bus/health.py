"""The state of a bus that has a broker: up, degraded for a while, down; since when and why. Pure: time is an argument.

It must not know how the state was found out.
"""

from __future__ import annotations

from tidewire.bus.base import BusState


class Health:
    """State machine of one bus.

    ::

        down --connected(no gap)--> up --degrade--> degraded --refresh after hold--> up
        down --connected(gap)-----> degraded
        any  --disconnected-------> down

    Args:
        wall: Unix seconds now.
        hold_s: How long ``degraded`` is shown after its last cause, seconds.
    """

    def __init__(self, wall: float, *, hold_s: float = 10.0) -> None:
        self.state: BusState = "down"
        self.since = wall
        self.reason = "not started"
        self._hold_s = hold_s
        self._until = 0.0

    def connected(self, wall: float, mono: float, reason: str = "") -> bool:
        """Note a connection; with ``reason`` it is degraded. Return whether the state changed."""
        if reason:
            self._until = mono + self._hold_s
            return self._become("degraded", wall, reason)
        return self._become("up", wall, "")

    def degrade(self, wall: float, mono: float, reason: str) -> bool:
        """Note trouble on a live connection. Ignored while down. Return whether the state changed."""
        if self.state == "down":
            return False
        self._until = mono + self._hold_s
        return self._become("degraded", wall, reason)

    def disconnected(self, wall: float, reason: str) -> bool:
        """Note that nothing can be published. Return whether the state changed."""
        return self._become("down", wall, reason)

    def refresh(self, wall: float, mono: float) -> bool:
        """Let a degraded state that has been quiet for the hold time end. Return whether the state changed."""
        if self.state == "degraded" and mono >= self._until:
            return self._become("up", wall, "")
        return False

    def _become(self, state: BusState, wall: float, reason: str) -> bool:
        self.reason = reason
        if state == self.state:
            return False
        self.state, self.since = state, wall
        return True
