"""How the watchers' rooms behave, and what may be asked of them. Pure.

Who may enter is in ``accounts/grants.py``. It must not know the hub or how messages look.
"""

from __future__ import annotations

from math import isfinite

from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, InvalidRequest
from tidewire.hub.room import RoomRules

MONITORING, PERFORMANCE = "admin:system_monitoring", "admin:performance"
VIEW = "analytics:read"
SHORTEST_S, LONGEST_S = 1.0, 60.0
DEFAULT_S = 5.0

# Each node makes its own for whoever watches there; what was a moment ago nobody wants again.
RULES = RoomRules(delivery="latest", history_messages=0, fed=True)


def room_of(family: str, principal: Principal | None) -> str:
    """Return somebody's own room. Raises Forbidden if it is nobody."""
    if principal is None:
        raise Forbidden(
            "This is for people who are logged in.",
            required_action="Log in, then try again.",
            will_not="Tidewire will not show its inner figures to strangers.",
        )
    return f"{family}:{principal.user_id}"


def require_interval(interval_s: float) -> float:
    """Return the interval. Raises InvalidRequest if it is out of bounds."""
    if not isfinite(interval_s) or not SHORTEST_S <= interval_s <= LONGEST_S:
        raise InvalidRequest(
            f"An interval of {interval_s:g} s is out of bounds.",
            required_action=f"Use {SHORTEST_S:g} to {LONGEST_S:g} seconds.",
            will_not="Tidewire will not send in another rhythm than asked.",
            code="bad_interval",
            details={"least": SHORTEST_S, "most": LONGEST_S},
        )
    return interval_s
