"""The in-process bus: publish() calls the subscribers before it returns. It must not know any other process.

A message published inside a callback waits until the current one has reached everybody, so that all subscribers see
the same order. What callbacks publish is bounded per outermost publish(): an endless echo is refused, not looped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from tidewire.bus.base import BusState, BusStatus, GapNotice, Receive, StateNotice, Watch
from tidewire.bus.fanout import Fanout, Listener, Watches
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError

# Messages that callbacks may publish while one outermost publish() runs. Two floors that answer each other once per
# tick need 2 x 512; ten times that ends an endless echo after about 10 ms instead of freezing the loop.
MAX_NESTED_MESSAGES = 10_000


class MemoryBus:
    """Implements bus.base.Bus inside one process.

    Args:
        clock: For stamps and log limits.
        max_nested_messages: Bound of what callbacks may publish during one outermost publish().
    """

    def __init__(self, clock: Clock, *, max_nested_messages: int = MAX_NESTED_MESSAGES) -> None:
        self._clock = clock
        self._max_nested = max_nested_messages
        self._fanout = Fanout(clock)
        self._states: Watches[[BusStatus]] = Watches("state")
        self._gaps: Watches[[str]] = Watches("gap")
        self._state: BusState = "down"
        self._since = clock.time()
        self._reason = "not started"
        self._delivering = False
        self._nested: deque[tuple[str, tuple[bytes, ...]]] = deque()
        self._nested_taken = 0
        self._published = 0
        self._refused = 0

    async def start(self) -> None:
        """Accept messages from now on."""
        if self._state != "up":
            self._become("up", "")

    async def stop(self) -> None:
        """Refuse messages from now on. Nothing is ever left to flush. Idempotent."""
        if self._state == "up":
            self._become("down", "stopped")

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Deliver ``payloads`` to every subscriber of ``channel`` before returning.

        Raises:
            BusError: ``broker_unavailable`` when not running; ``bus_outbox_full`` when callbacks published too much.
        """
        if self._state != "up":
            self._refused += len(payloads)
            raise BusError(
                f"The in-process bus is {self._reason}.",
                required_action="Start the bus before publishing.",
                will_not="The messages are not kept for later.",
            )
        # A tuple: neither the caller nor a subscriber can change what others see. Free if it is one already.
        batch = tuple(payloads)
        if self._delivering:
            self._nest(channel, batch)
            return
        self._published += len(batch)
        self._delivering = True
        try:
            if batch:
                self._fanout.deliver(channel, batch)
            while self._nested:
                self._fanout.deliver(*self._nested.popleft())
        finally:
            self._delivering = False
            self._nested_taken = 0
            self._nested.clear()

    def _nest(self, channel: str, batch: tuple[bytes, ...]) -> None:
        if self._nested_taken + len(batch) > self._max_nested:
            self._refused += len(batch)
            raise BusError(
                f"Callbacks published more than {self._max_nested} messages in answer to one message.",
                required_action="Look for subscribers that answer each other without end.",
                will_not="The messages are not kept for later.",
                code="bus_outbox_full",
            )
        if batch:
            self._nested_taken += len(batch)
            self._published += len(batch)
            self._nested.append((channel, batch))

    def subscribe(self, channel: str, receive: Receive) -> MemorySubscription:
        """Call ``receive`` for every later message of ``channel``."""
        return MemorySubscription(self._fanout.add(channel, receive))

    def on_gap(self, notify: GapNotice) -> Watch:
        """Register ``notify``; it is never called, because nothing can be missed inside one process."""
        return self._gaps.add(notify)

    def on_state(self, notify: StateNotice) -> Watch:
        """Call ``notify`` on start and stop."""
        return self._states.add(notify)

    def reaches(self, channel: str) -> bool:
        """Whether the bus is started."""
        return self._state != "down"

    def status(self) -> BusStatus:
        """Return the present state and counters."""
        return BusStatus(
            kind="memory",
            state=self._state,
            since=self._since,
            reason=self._reason,
            published=self._published,
            delivered=self._fanout.delivered,
            refused=self._refused,
            callback_errors=self._fanout.callback_errors,
            outbox_messages=sum(len(batch) for _, batch in self._nested),
            outbox_bytes=sum(len(payload) for _, batch in self._nested for payload in batch),
        )

    async def ping(self) -> float:
        """Return how long one turn of the event loop takes, milliseconds.

        Raises:
            BusError: The bus is not running.
        """
        if self._state != "up":
            raise BusError(
                f"The in-process bus is {self._reason}.",
                required_action="Start the bus first.",
                will_not="Tidewire will not call a bus that does not run healthy.",
            )
        began = self._clock.monotonic()
        await asyncio.sleep(0)
        return (self._clock.monotonic() - began) * 1000.0

    def _become(self, state: BusState, reason: str) -> None:
        self._state, self._reason, self._since = state, reason, self._clock.time()
        self._states.tell(self.status())


class MemorySubscription:
    """A subscription that is live from the moment it exists."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        self._listener.close()

    async def ready(self) -> None:
        """Return at once."""
