"""The watchers' messages on the socket: start and stop. It must not know how figures are gathered.

Source: contract.md section 5 (``start_monitoring``, ``start_performance``).
"""

from __future__ import annotations

from tidewire.core.clock import Clock
from tidewire.hub.command import Answer, Command
from tidewire.hub.hub import Hub
from tidewire.hub.session import Session
from tidewire.vitals.catalogue import require_names
from tidewire.vitals.gatherer import Gatherer
from tidewire.vitals.groups import require_groups
from tidewire.vitals.performance import DEFAULTS, choices
from tidewire.vitals.shows import PerformanceShow, SystemShow
from tidewire.vitals.watch import Watch
from tidewire.vitals.wire import StartMonitoring, StartPerformance, StopMonitoring, StopPerformance


class Conversation:
    """The handlers; ``commands`` is their table. Make it before the hub starts."""

    def __init__(self, hub: Hub, clock: Clock, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self.monitoring = Watch(hub, clock, SystemShow(gatherer))
        self.performance = Watch(hub, clock, PerformanceShow(gatherer))
        hub.features.add(self.commands())

    def commands(self) -> list[Command]:
        """Return the table."""
        return [
            Command(StartMonitoring, self.start_monitoring),
            Command(StopMonitoring, lambda session, _: self.monitoring.end(session)),
            Command(StartPerformance, self.start_performance),
            Command(StopPerformance, lambda session, _: self.performance.end(session)),
        ]

    def start_monitoring(self, session: Session, message: StartMonitoring) -> Answer:
        """Watch groups of figures; asked again, the connection's wishes are replaced."""
        self.monitoring.admit(session)
        groups = require_groups(message.config.groups)
        return self.monitoring.begin(session, groups, message.config.interval_s)

    def start_performance(self, session: Session, message: StartPerformance) -> Answer:
        """Watch metrics; asked again, the connection's wishes are replaced."""
        self.performance.admit(session)
        names = require_names(message.metrics or DEFAULTS, choices(self._gatherer.catalogue()))
        return self.performance.begin(session, frozenset(names), message.interval_s)

    def start(self) -> None:
        """Begin to keep time."""
        self.monitoring.start()
        self.performance.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self.monitoring.stop()
        await self.performance.stop()

    def statistics(self) -> dict[str, float]:
        """Return who watches, for metrics."""
        return {
            "watchers": self.monitoring.watchers + self.performance.watchers,
            "messages": self.monitoring.shown + self.performance.shown,
        }
