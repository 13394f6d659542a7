"""Counts a view from the database. It must not know SQL, rooms, or who asks."""

from __future__ import annotations

from tidewire.analytics.figures import Parts, conversion_parts, performance_parts, quotes_parts
from tidewire.analytics.rules import HOUR_S, View
from tidewire.store.analytics import Analytics
from tidewire.store.analytics_records import Scope


class Counting:
    """See the module's text."""

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics

    async def count(self, view: View, now: float) -> Parts:
        """Return the parts of a view as they are. Raises StoreError."""
        since = now - view.hours * HOUR_S
        if view.dashboard == "performance":
            timed = await self._analytics.performance(since, view.step_s)
            return performance_parts(view, timed, await self._analytics.logins(now), now)
        scope = Scope(since, view.state, view.product)
        if view.dashboard == "conversion":
            return conversion_parts(view, await self._analytics.conversion(scope), now)
        return quotes_parts(view, await self._analytics.quotes(scope), now)
