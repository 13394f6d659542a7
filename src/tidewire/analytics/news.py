"""What happens, told at once to everybody who watches a dashboard that counts it, on all nodes.

It goes over the bus, at most once: the figures come from the database, so an event that is lost costs no figure. It
must not know what a quote contains, or how answers are timed.
Source: contract.md section 5 (``analytics_event``); docs/decisions/0017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tidewire.analytics.rules import OF_QUOTES, PREFIX, Choices, View
from tidewire.analytics.wire import EVENT, EventBody
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.token_bucket import TokenBucket
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.features import Features
from tidewire.store.records import JsonValue

CHANNEL = "tidewire:analytics:events"
WRITTEN = "tidewire:analytics:timings"
# Event -> the dashboards that count it.
CONCERNED: Mapping[str, Sequence[str]] = {
    "quote_created": OF_QUOTES,
    "quote_converted": OF_QUOTES,
    "api_response": ("performance",),
    "calculation_complete": ("performance",),
}
# Of each kind and from each node: more than that nobody reads; what is skipped is counted.
PER_S, BURST = 10.0, 20.0

_decode = msgspec.json.Decoder(EventBody).decode


class News:
    """See the module's text.

    Args:
        quotes_changed: Name of the channel on which every node tells that some quote has changed.
        mark: Told which views may no longer be true.
    """

    def __init__(
        self,
        bus: Bus,
        features: Features,
        clock: Clock,
        choices: Choices,
        *,
        node: str,
        quotes_changed: str,
        mark: Callable[[Callable[[View], bool]], None],
    ) -> None:
        self._bus = bus
        self._features = features
        self._clock = clock
        self._choices = choices
        self._node = node
        self._mark = mark
        hear = {CHANNEL: self._receive, quotes_changed: self._changed, WRITTEN: self._written}
        self._listening = Listening(bus, hear)
        now = clock.monotonic()
        self._pace = {name: TokenBucket(rate=PER_S, burst=BURST, now=now) for name in CONCERNED}
        self._skipped = dict.fromkeys(CONCERNED, 0)
        self.counts = dict.fromkeys(("told", "skipped", "untold", "unreadable"), 0)

    def start(self) -> None:
        """Listen to all nodes."""
        self._listening.start()

    def stop(self) -> None:
        """Stop listening. Idempotent."""
        self._listening.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start."""
        return dict(self.counts)

    def tell(self, name: str, *, at: float, data: dict[str, JsonValue], state: str = "", product: str = "") -> None:
        """Tell that something has happened here; does not wait."""
        if not self._pace[name].take(self._clock.monotonic()):
            self._skipped[name] += 1
            self.counts["skipped"] += 1
            return
        skipped, self._skipped[name] = self._skipped[name], 0
        event = EventBody(event=name, at=at, node=self._node, state=state, product=product, skipped=skipped, data=data)
        payload = msgspec.json.encode(event)
        try:
            self._bus.publish(CHANNEL, [payload])
        except BusError:
            # Here at least it is told.
            self.counts["untold"] += 1
            self._receive(CHANNEL, [payload])

    def written(self) -> None:
        """Times have been written to the database here."""
        try:
            self._bus.publish(WRITTEN, [b"{}"])
        except BusError:
            self.counts["untold"] += 1
            self._written(WRITTEN, [b"{}"])

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        views = None
        for payload in payloads:
            try:
                event = _decode(payload)
            except UNREADABLE:
                self.counts["unreadable"] += 1
                continue
            concerned = CONCERNED.get(event.event, ())
            if views is None:
                views = [view for room in self._features.occupied(PREFIX) if (view := self._choices.of_room(room))]
            body = msgspec.json.encode(event)
            for view in views:
                if view.dashboard in concerned and (not event.state or view.concerns(event.state, event.product)):
                    self.counts["told"] += self._features.whisper(view.room_id, body, kind=EVENT)

    def _changed(self, _: str, payloads: Sequence[bytes]) -> None:
        if payloads:
            self._mark(lambda view: view.dashboard in OF_QUOTES)

    def _written(self, _: str, payloads: Sequence[bytes]) -> None:
        if payloads:
            self._mark(lambda view: view.dashboard == "performance")
