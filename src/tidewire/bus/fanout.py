"""Who listens in this process, and the hand-over to them: the part that every bus shares.

A callback that fails costs itself one message and nobody else anything. It must not know where messages come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, ParamSpec

import structlog

from tidewire.bus.base import Receive
from tidewire.core.clock import Clock
from tidewire.core.throttle import Throttle

P = ParamSpec("P")


class Listener:
    """One callback on one channel; ``open`` goes false once and for all on close."""

    __slots__ = ("_fanout", "channel", "open", "receive")

    def __init__(self, fanout: Fanout, channel: str, receive: Receive) -> None:
        self._fanout = fanout
        self.channel = channel
        self.receive = receive
        self.open = True

    def close(self) -> None:
        """Stop deliveries at once, even in the middle of one. Idempotent."""
        if self.open:
            self.open = False
            self._fanout.remove(self)


class Fanout:
    """Channel -> listeners, with counters.

    Args:
        clock: For the rate limit of log lines.
        on_unused: Called with a channel when its last listener has gone.
    """

    def __init__(self, clock: Clock, on_unused: Callable[[str], None] | None = None) -> None:
        self.delivered = 0
        self.callback_errors = 0
        self._clock = clock
        self._on_unused = on_unused
        # Tuples, replaced on change: a delivery in progress keeps walking the old one, unharmed.
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._throttle = Throttle()
        self._log = structlog.get_logger(__name__)

    def __contains__(self, channel: str) -> bool:
        return channel in self._listeners

    def channels(self) -> list[str]:
        """Return the channels that somebody listens to, oldest first."""
        return list(self._listeners)

    def add(self, channel: str, receive: Receive) -> Listener:
        """Register ``receive``; it gets messages of later deliveries only."""
        listener = Listener(self, channel, receive)
        self._listeners[channel] = (*self._listeners.get(channel, ()), listener)
        return listener

    def remove(self, listener: Listener) -> None:
        """Forget ``listener``; called by its close()."""
        rest = tuple(known for known in self._listeners.get(listener.channel, ()) if known is not listener)
        if rest:
            self._listeners[listener.channel] = rest
        elif self._listeners.pop(listener.channel, None) is not None and self._on_unused is not None:
            self._on_unused(listener.channel)

    def deliver(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Call every open listener of ``channel`` once with all ``payloads``."""
        for listener in self._listeners.get(channel, ()):
            if not listener.open:
                continue
            try:
                listener.receive(channel, payloads)
            except Exception as error:  # noqa: BLE001 - a foreign callback: its fault must not reach the others
                self.callback_errors += 1
                self._tell(channel, error)
            else:
                self.delivered += len(payloads)

    def _tell(self, channel: str, error: Exception) -> None:
        count = self._throttle.admit(self._clock.monotonic())
        if count:
            self._log.error(
                "bus_callback_failed",
                channel=channel,
                what_happened=f"A subscriber's callback raised {type(error).__name__}: {error}",
                count=count,
                required_action="Report this with the traceback; the other subscribers got the message.",
                will_not="The message is not delivered to that subscriber again.",
                exc_info=error,
            )


class Watches(Generic[P]):
    """Notice callbacks of one kind; a failing one is logged and counted, never propagated.

    Args:
        name: What is noticed, for the log line.
    """

    def __init__(self, name: str) -> None:
        self.errors = 0
        self._name = name
        self._known: tuple[Callable[P, None], ...] = ()
        self._log = structlog.get_logger(__name__)

    def add(self, notify: Callable[P, None]) -> _Watching[P]:
        """Call ``notify`` from now on until the returned handle is closed."""
        self._known = (*self._known, notify)
        return _Watching(self, notify)

    def remove(self, notify: Callable[P, None]) -> None:
        """Forget one registration of ``notify``."""
        left = list(self._known)
        left.remove(notify)
        self._known = tuple(left)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call everybody."""
        for notify in self._known:
            try:
                notify(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - a foreign callback
                self.errors += 1
                self._log.error("bus_notice_failed", notice=self._name, what_happened=str(error), exc_info=error)


class _Watching(Generic[P]):
    """Handle of one registration."""

    def __init__(self, watches: Watches[P], notify: Callable[P, None]) -> None:
        self._watches: Watches[P] | None = watches
        self._notify = notify

    def close(self) -> None:
        if self._watches is not None:
            self._watches.remove(self._notify)
            self._watches = None
