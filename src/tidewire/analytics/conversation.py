"""Analytics' messages on the socket: start and stop. It must not know SQL, or how rooms work inside.

A client is let into the view's room before it gets the snapshot, so that no change falls between the two.
Source: contract.md section 5; docs/decisions/0017.
"""

from __future__ import annotations

import msgspec
import structlog

from tidewire.accounts.grants import Address, require_enter, resolve
from tidewire.accounts.model import Principal
from tidewire.analytics.rules import DASHBOARDS, FAMILY, HOURS_MAX, OF_QUOTES, PREFIX, Choices, View, sees_premium
from tidewire.analytics.views import Views
from tidewire.analytics.wire import FilterChoices, StartAnalytics, Started, StopAnalytics, Stopped, snapshot
from tidewire.core.clock import Clock
from tidewire.core.errors import NotFound, RequestError, StoreError
from tidewire.hub.command import Answer, Command
from tidewire.hub.hub import Hub
from tidewire.hub.session import Session

_log = structlog.get_logger(__name__)


class Conversation:
    """The handlers; ``commands`` is their table."""

    def __init__(self, views: Views, hub: Hub, clock: Clock, choices: Choices) -> None:
        self._views = views
        self._hub = hub
        self._clock = clock
        self._choices = choices
        self.snapshots = 0
        hub.features.on_moved(self._moved)

    def commands(self) -> list[Command]:
        """Return the table."""
        return [Command(StartAnalytics, self.start), Command(StopAnalytics, self.stop)]

    def statistics(self) -> dict[str, int]:
        """Return counters since start."""
        return {"snapshots": self.snapshots}

    def start(self, session: Session, message: StartAnalytics) -> Answer:
        """Enter the room of the view, then send the snapshot."""
        # Before anything is said about filters: whoever may not see figures learns nothing of them.
        require_enter(session.principal, resolve(PREFIX + DASHBOARDS[0]))
        return self._start(session, self._choices.view(message.dashboard, message.filters))

    def stop(self, session: Session, message: StopAnalytics) -> Answer:
        """Leave the rooms of a dashboard, or of all."""
        rooms = self._rooms(session, message.dashboard)
        if not rooms:
            raise NotFound(
                "You do not watch that dashboard." if message.dashboard else "You do not watch any dashboard.",
                required_action="Nothing is needed: nothing of it is sent to you.",
                will_not="Tidewire will not stop another dashboard instead.",
            )
        for room_id in rooms:
            self._hub.features.leave(session, room_id, "requested", "You have stopped watching this dashboard.")
        return msgspec.json.encode(Stopped(rooms=rooms))

    async def _start(self, session: Session, view: View) -> bytes:
        features, room_id = self._hub.features, view.room_id
        await features.enter(session, room_id)
        for other in self._rooms(session, view.dashboard):
            if other != room_id:
                features.leave(session, other, "requested", f"You watch {room_id} instead.")
        try:
            await self._send(session, view)
        except (RequestError, StoreError) as error:
            # Without the figures a client could make nothing of what changes in them.
            features.leave(session, room_id, "state_unavailable", error.message)
            raise
        return msgspec.json.encode(
            Started(room_id=room_id, dashboard=view.dashboard, filters=view.filters, choices=self._offered(view))
        )

    def _offered(self, view: View) -> FilterChoices:
        chosen = self._choices if view.dashboard in OF_QUOTES else Choices((), ())
        return FilterChoices(hours_max=HOURS_MAX, states=sorted(chosen.states), products=sorted(chosen.products))

    async def _send(self, session: Session, view: View) -> None:
        one = await self._views.ready(view)
        # No await from here on: what changes now comes after the snapshot. The permission may be gone by now.
        features = self._hub.features
        if not features.inside(session, view.room_id):
            return
        message = snapshot(
            view,
            one.as_of,
            one.shown_parts(),
            premium=sees_premium(session.principal),
            timestamp=self._clock.time(),
            place=features.epoch_and_offset(view.room_id),
        )
        features.send(session, message)
        self.snapshots += 1

    def _rooms(self, session: Session, dashboard: str | None) -> list[str]:
        inside = [room_id for room_id in session.subscriptions if room_id.startswith(PREFIX)]
        return [one for one in inside if dashboard is None or one.removeprefix(PREFIX).split(".")[0] == dashboard]

    def _moved(self, session: Session, address: Address, before: Principal | None) -> None:
        """A watcher may see what quotes cost from now on, or no longer: what it has is replaced."""
        if address.family != FAMILY or sees_premium(session.principal) == sees_premium(before):
            return
        view = self._choices.of_room(address.room_id)
        if view is not None:
            self._hub.features.spawn(self._send_anew(session, view), "analytics-snapshot-anew")

    async def _send_anew(self, session: Session, view: View) -> None:
        try:
            await self._send(session, view)
        except (RequestError, StoreError) as error:
            _log.warning("analytics_snapshot_unsent", room_id=view.room_id, **error.describe())
            self._hub.features.leave(session, view.room_id, "state_unavailable", error.message)
