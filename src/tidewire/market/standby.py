"""A feed that waits: it says so once a second, and remembers what an operator has told the one that leads.

It must not know the lease; whoever owns it says why we wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.rounds import Rounds
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.feed_status import FEED_STANDBY_CHANNEL, FEED_STATUS_CHANNEL, FeedPause, FeedStandby, FeedStatus
from tidewire.core.unreadable import UNREADABLE
from tidewire.core.watched_loop import WatchedLoop

SAY_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class StandbyPost:
    """See the module's text.

    Attributes:
        has_heard, paused: Whether a leader has spoken while we waited, and what it last said of an operator's pause.

    Args:
        bus: Fenced, so that a replaced leader's word does not count.
        describe: Returns (who leads, why we wait).
    """

    def __init__(self, bus: Bus, clock: Clock, *, node: str, describe: Callable[[], tuple[str, str]]) -> None:
        self._bus = bus
        self._clock = clock
        self._node = node
        self._describe = describe
        self._since = 0.0
        loop = WatchedLoop("feed-standby", SAY_EVERY_S, self._say, clock)
        self._rounds = Rounds(loop, Listening(bus, {FEED_STATUS_CHANNEL: self._receive}))
        self._decoder = msgspec.json.Decoder(FeedStatus)
        self.paused: FeedPause | None = None
        self.has_heard = False
        self.unsaid = 0

    def start(self) -> None:
        """Listen to the leader, and say that we wait. Raises RuntimeError if it does already."""
        self._rounds.start()
        self._since = self._clock.time()
        self.paused, self.has_heard = None, False
        self._say()

    async def stop(self) -> None:
        """Neither listen nor speak. Idempotent."""
        await self._rounds.stop()

    def _say(self) -> None:
        holder, reason = self._describe()
        standby = FeedStandby(node=self._node, since=self._since, holder=holder, reason=reason)
        try:
            self._bus.publish(FEED_STANDBY_CHANNEL, [msgspec.json.encode(standby)])
        except BusError:
            # The state of the bus itself is told by the bus; the next second says it again.
            self.unsaid += 1

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        try:
            self.paused = self._decoder.decode(payloads[-1]).paused
            self.has_heard = True
        except UNREADABLE as exc:
            log.warning("feed_status_malformed", error=str(exc), sample=repr(payloads[-1][:200]))
