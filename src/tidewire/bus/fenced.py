"""A bus whose feed channels hand on only what the feed that leads has published. It must not know ticks or status.

Everything else is the wrapped bus's. One gate for the whole process: a number seen on one channel counts for the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import structlog

from tidewire.bus.base import Bus, BusStatus, GapNotice, Receive, StateNotice, Subscription, Watch
from tidewire.bus.fanout import Fanout, Listener
from tidewire.core.clock import Clock
from tidewire.core.fence import FenceGate
from tidewire.core.throttle import Throttle


class FencedBus:
    """Implements bus.base.Bus around another bus.

    Args:
        bus: The real one.
        channels: Where only the leader is heard.
        clock: For log limits.
    """

    def __init__(self, bus: Bus, channels: Collection[str], clock: Clock) -> None:
        self.gate = FenceGate()
        self._bus = bus
        self._channels = frozenset(channels)
        self._clock = clock
        self._fanout = Fanout(clock, on_unused=self._unused)
        self._sources: dict[str, Subscription] = {}
        self._throttle = Throttle()
        self._log = structlog.get_logger(__name__)

    async def start(self) -> None:
        """Start the real bus. Raises BusError."""
        await self._bus.start()

    async def stop(self) -> None:
        """Stop the real bus. Idempotent."""
        await self._bus.stop()

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Publish on the real bus. Raises BusError."""
        self._bus.publish(channel, payloads)

    def subscribe(self, channel: str, receive: Receive) -> Subscription:
        """Call ``receive`` for later messages of ``channel``, on a fenced one for the leader's only."""
        if channel not in self._channels:
            return self._bus.subscribe(channel, receive)
        listener = self._fanout.add(channel, receive)
        if channel not in self._sources:
            self._sources[channel] = self._bus.subscribe(channel, self._receive)
        return _FencedSubscription(listener, self._sources[channel])

    def on_gap(self, notify: GapNotice) -> Watch:
        """Notices of the real bus."""
        return self._bus.on_gap(notify)

    def on_state(self, notify: StateNotice) -> Watch:
        """Notices of the real bus."""
        return self._bus.on_state(notify)

    def reaches(self, channel: str) -> bool:
        """Ask the real bus."""
        return self._bus.reaches(channel)

    def status(self) -> BusStatus:
        """Return the real bus's state."""
        status = self._bus.status()
        return msgspec.structs.replace(status, callback_errors=status.callback_errors + self._fanout.callback_errors)

    async def ping(self) -> float:
        """Ask the real bus. Raises BusError."""
        return await self._bus.ping()

    def _receive(self, channel: str, payloads: Sequence[bytes]) -> None:
        admitted = self.gate.admit(payloads)
        refused = len(payloads) - len(admitted)
        if refused:
            self._tell(channel, refused)
        if admitted:
            self._fanout.deliver(channel, admitted)

    def _unused(self, channel: str) -> None:
        self._sources.pop(channel).close()

    def _tell(self, channel: str, refused: int) -> None:
        count = self._throttle.admit(self._clock.monotonic(), refused)
        if count:
            self._log.warning(
                "feed_fenced",
                channel=channel,
                count=count,
                total=self.gate.refused,
                fence=self.gate.highest,
                what_happened="A feed that has been replaced went on publishing.",
                required_action="None if it stops; otherwise find that process (its log says feed_lease_lost).",
                will_not="Its messages are not shown or passed on.",
            )


class _FencedSubscription:
    def __init__(self, listener: Listener, source: Subscription) -> None:
        self._listener = listener
        self._source = source

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        self._listener.close()

    async def ready(self) -> None:
        """Return once the channel is confirmed. Raises BusError."""
        if self._listener.open:
            await self._source.ready()
