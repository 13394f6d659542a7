"""Dashboards, their filters and their rooms; and who sees premiums in them. Pure.

A view is a dashboard with a filter. Its room is ``analytics:{dashboard}``, followed by what differs from the dashboard
without a filter: ``analytics:quotes.h72.s-ca``. So one room is one computation, and everybody inside gets the same.
Who may enter is in ``accounts/grants.py``. It must not know the hub, SQL or how messages look.
Source: contract.md section 5; docs/decisions/0017.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tidewire.accounts.model import Principal
from tidewire.core.errors import InvalidRequest
from tidewire.hub.room import RoomRules
from tidewire.store.records import JsonValue

FAMILY, PREFIX = "analytics", "analytics:"
READ, PREMIUM_VIEW = "analytics:read", "premium:view"
WITH_PREMIUM, PLAIN = "premium", "plain"
DASHBOARDS = ("quotes", "conversion", "performance")
# Those whose figures are of quotes, which have a state and a product.
OF_QUOTES = ("quotes", "conversion")
HOURS_DEFAULT, HOURS_MAX = 24, 720
HOUR_S = 3_600
# Up to so many hours a chart of five minutes a step is no longer than a day's chart of hours.
FINE_HOURS = 6
_ROOM = re.compile(
    r"analytics:(?P<dashboard>[a-z]+)(\.h(?P<hours>[1-9]\d{0,2}))?(\.s-(?P<state>[a-z]{2}))?"
    r"(\.p-(?P<product>[a-z0-9_-]+))?"
)


def sees_premium(principal: Principal | None) -> bool:
    """Whether somebody may know what quotes cost."""
    return principal is not None and principal.can(PREMIUM_VIEW)


def audience_of(principal: Principal | None) -> str:
    """Return which variant of a message somebody gets."""
    return WITH_PREMIUM if sees_premium(principal) else PLAIN


# Each node fills its own (docs/decisions/0017). A figure's newest value replaces older ones; nothing else is kept,
# since whoever comes or comes back begins with a snapshot.
RULES = RoomRules(
    delivery="latest",
    history_messages=0,
    fed=True,
    audiences=(PLAIN, WITH_PREMIUM),
    audience_of=audience_of,
)


@dataclass(frozen=True, slots=True)
class View:
    """A dashboard and its filter.

    Attributes:
        hours: How far back it looks.
        state, product: Empty: all.
    """

    dashboard: str
    hours: int = HOURS_DEFAULT
    state: str = ""
    product: str = ""

    @property
    def room_id(self) -> str:
        """The name of its room."""
        parts = [self.dashboard]
        if self.hours != HOURS_DEFAULT:
            parts.append(f"h{self.hours}")
        if self.state:
            parts.append(f"s-{self.state.lower()}")
        if self.product:
            parts.append(f"p-{self.product}")
        return PREFIX + ".".join(parts)

    @property
    def filters(self) -> dict[str, JsonValue]:
        """The filter as messages name it: every part of it, null where there is none."""
        return {"hours": self.hours, "state": self.state or None, "product": self.product or None}

    @property
    def step_s(self) -> int:
        """How long a step of the dashboard's chart is, seconds."""
        fine = self.dashboard == "performance" and self.hours <= FINE_HOURS
        return 300 if fine else HOUR_S

    def concerns(self, state: str, product: str) -> bool:
        """Whether something about a quote of that state and product is in it."""
        return self.state in ("", state) and self.product in ("", product)


@dataclass(frozen=True, slots=True)
class Choices:
    """What filters may name."""

    states: Collection[str]
    products: Collection[str]

    def view(self, dashboard: str, filters: Mapping[str, JsonValue]) -> View:
        """Read a dashboard and its filter. Raises InvalidRequest that names what cannot be."""
        if dashboard not in DASHBOARDS:
            raise _bad(
                "dashboard", f"There is no dashboard {dashboard[:40]!r}.", f"Use one of: {', '.join(DASHBOARDS)}."
            )
        allowed = ("hours", "state", "product") if dashboard in OF_QUOTES else ("hours",)
        for name in filters:
            if name not in allowed:
                raise _bad(
                    name[:40],
                    f"The dashboard {dashboard} has no filter {name[:40]!r}.",
                    f"Use only: {', '.join(allowed)}.",
                )
        return View(
            dashboard,
            _hours(filters.get("hours")),
            _one_of("state", filters.get("state"), self.states),
            _one_of("product", filters.get("product"), self.products),
        )

    def of_room(self, room_id: str) -> View | None:
        """Return the view of a room; None if there is no such view, or it has another name."""
        found = _ROOM.fullmatch(room_id)
        if found is None:
            return None
        parts = found.groupdict()
        given: dict[str, JsonValue] = {
            "hours": int(parts["hours"]) if parts["hours"] else None,
            "state": parts["state"].upper() if parts["state"] else None,
            "product": parts["product"],
        }
        try:
            view = self.view(parts["dashboard"], {name: value for name, value in given.items() if value is not None})
        except InvalidRequest:
            return None
        return view if view.room_id == room_id else None


def _hours(value: JsonValue) -> int:
    if value is None:
        return HOURS_DEFAULT
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= HOURS_MAX:
        raise _bad("hours", f"The filter hours must be a whole number from 1 to {HOURS_MAX}.", "Send such a number.")
    return value


def _one_of(name: str, value: JsonValue, allowed: Collection[str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or value not in allowed:
        raise _bad(
            name,
            f"The filter {name} names nothing that there is.",
            f"Use null for all, or one of: {', '.join(sorted(allowed)[:60])}.",
        )
    return value


def _bad(name: str, message: str, action: str) -> InvalidRequest:
    return InvalidRequest(
        message,
        required_action=action,
        will_not="Tidewire will not guess which figures were meant, nor count anything.",
        code="bad_filter",
        details={"filter": name},
    )
