"""One place for a process that is to run always: its state, its failures, and how long to wait. Pure.

::

    stopped --launched--> starting --ready--> ready --draining--> draining --ended--> stopped
    starting | ready ----ended----> resting | looping ----launched----> starting
    ready --replaced--> ready (another process, which was ready before)

``looping``: it has ended so often without ever being well for a while that somebody must look at it. Time and chance
are arguments. It must not know processes, sockets or signals.
"""

from __future__ import annotations

import enum
import signal
from collections import deque

from tidewire.core.backoff import Backoff

# The first restart comes at once, more or less; one that always fails costs a start (2 s of a core) every half minute.
RESTART_BASE_S = 0.5
RESTART_CAP_S = 30.0
# A process that was well for this long has its failures forgiven.
WELL_AFTER_S = 30.0
# This many ends in a row without being well in between are a loop.
LOOP_AFTER = 3
# How many ends are remembered for people.
KEPT_ENDS = 10


class SlotState(enum.Enum):
    """How a place is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RESTING = "resting"
    LOOPING = "looping"


class Slot:
    """See the module's text.

    Args:
        name: Name of the process, as on pages and in logs.
        role: ``web`` or ``feed``.
        number: 1..N for web workers, 0 for the feed.

    Attributes:
        since: When the state began, monotonic seconds.
        restarts: How often it was started again after an end that nobody wanted.
        ends: What the latest of those were, oldest first.
    """

    def __init__(self, name: str, role: str, number: int) -> None:
        self.name = name
        self.role = role
        self.number = number
        self.state = SlotState.STOPPED
        self.since = 0.0
        self.restarts = 0
        self.ends: deque[str] = deque(maxlen=KEPT_ENDS)
        self._backoff = Backoff(base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S, stable_s=WELL_AFTER_S)

    @property
    def is_looping(self) -> bool:
        """Whether it ends again and again."""
        return self._backoff.failures >= LOOP_AFTER

    def launched(self, now: float) -> None:
        """A process has been started."""
        if self.state in (SlotState.RESTING, SlotState.LOOPING):
            self.restarts += 1
        self._enter(SlotState.STARTING, now)

    def ready(self, now: float) -> None:
        """The process says that it serves."""
        self._enter(SlotState.READY, now)

    def well(self, now: float) -> None:
        """The process has shown that it lives; after a while its failures are forgiven."""
        if self.state is SlotState.READY:
            self._backoff.succeed(now)

    def draining(self, now: float) -> None:
        """The process has been told to end."""
        self._enter(SlotState.DRAINING, now)

    def ended(self, now: float, cause: str, draw: float) -> float:
        """The process has ended. Return after how many seconds to start another; 0 if the end was wanted.

        Args:
            draw: Uniform random number in [0, 1).
        """
        if self.state is SlotState.DRAINING:
            self._enter(SlotState.STOPPED, now)
            return 0.0
        self.ends.append(cause)
        delay_s = self._backoff.fail(draw)
        self._enter(SlotState.LOOPING if self.is_looping else SlotState.RESTING, now)
        return delay_s

    def _enter(self, state: SlotState, now: float) -> None:
        self.state, self.since = state, now


def cause_of(returncode: int) -> str:
    """Return how a process ended, in words: ``exit code 1``, ``killed by SIGKILL``."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
