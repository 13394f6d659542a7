"""What one part hears of the bus, begun and ended together. It must not know what is said, or when to begin.

A callback that fails costs the bus's log a line and itself that message; it is called with the next one all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidewire.bus.base import Bus, GapNotice, Receive, StateNotice, Subscription, Watch


class Listening:
    """See the module's text.

    Args:
        hear: Channel -> what is called with its messages.
        gap, state: What is called when messages may have been missed, and on every change of the bus's state.
    """

    def __init__(
        self, bus: Bus, hear: Mapping[str, Receive], *, gap: GapNotice | None = None, state: StateNotice | None = None
    ) -> None:
        self._bus = bus
        self._hear = dict(hear)
        self._gap = gap
        self._state = state
        self._subscriptions: list[Subscription] = []
        self._watches: list[Watch] = []

    @property
    def on(self) -> bool:
        """Whether it listens."""
        return bool(self._subscriptions)

    def start(self) -> None:
        """Listen from now on. Raises RuntimeError if it does already."""
        if self.on:
            raise RuntimeError(f"{', '.join(self._hear)} is listened to already")
        self._subscriptions = [self._bus.subscribe(channel, receive) for channel, receive in self._hear.items()]
        if self._gap is not None:
            self._watches.append(self._bus.on_gap(self._gap))
        if self._state is not None:
            self._watches.append(self._bus.on_state(self._state))

    def stop(self) -> None:
        """Hear nothing more, not even the rest of what is being delivered. Idempotent."""
        handles = [*self._watches, *self._subscriptions]
        self._watches, self._subscriptions = [], []
        for handle in handles:
            handle.close()

    async def ready(self) -> None:
        """Return once whatever is published from now on, by anybody, is heard; at once if it does not listen.

        Raises:
            BusError: The broker refused a subscription or did not confirm it in time.
        """
        for subscription in self._subscriptions:
            await subscription.ready()
