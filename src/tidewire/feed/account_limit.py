"""The account's limit of simultaneous connections, as far as the venue let us feel it. Pure; shared by all lines.

When any line is told ``max_connections``, no line of the account dials again before a common cooldown is over; lines
that still stream go on. Repeated strikes lengthen the cooldown, because each new dial may cost another line its place.
Source: feed-protocol.md 1.4 (318 reconnects an hour without it), reliability.md 4.
"""

from __future__ import annotations

from typing import Final

# Rotating evictions end in one dial per ten minutes.
MAX_COOLDOWN_S: Final = 600.0


class AccountLimit:
    """The common cooldown.

    Args:
        cooldown_s: The first cooldown lasts between this and twice this, by chance.
    """

    def __init__(self, cooldown_s: float = 60.0) -> None:
        self._cooldown_s = cooldown_s
        self._until = 0.0
        self._strikes = 0
        self._last_strike: float | None = None

    def strike(self, now: float, draw: float) -> float:
        """Begin or lengthen the cooldown at ``now`` (monotonic seconds); return how long it still lasts, seconds.

        Args:
            draw: Uniform random number in [0, 1).
        """
        if self._last_strike is not None and now - self._last_strike > 2 * MAX_COOLDOWN_S:
            self._strikes = 0
        # Several lines evicted together are one strike.
        if now >= self._until:
            delay = min(MAX_COOLDOWN_S, self._cooldown_s * (1.0 + draw) * 2.0 ** min(self._strikes, 10))
            self._strikes += 1
            self._until = now + delay
        self._last_strike = now
        return self._until - now

    def forget(self) -> None:
        """Begin anew, as a new process would."""
        self._until, self._strikes, self._last_strike = 0.0, 0, None

    def remaining_s(self, now: float) -> float:
        """Return the seconds until a line may dial; 0.0 if it may now."""
        return max(0.0, self._until - now)
