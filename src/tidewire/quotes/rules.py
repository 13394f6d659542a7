"""How quote rooms behave, and who sees premiums in them. Pure.

Who may enter is in ``accounts/grants.py``. It must not know the hub or how messages look.
"""

from __future__ import annotations

import re

from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, InvalidRequest
from tidewire.hub.room import RoomRules

PREFIX = "quote:"
# Where lists are told that they may have changed.
LIST_FAMILY, LIST_ROOM = "quotes", "quotes:list"
VIEW, EDIT, PREMIUM_VIEW = "quote:view", "quote:edit", "premium:view"
# Audiences: with premiums, and without.
WITH_PREMIUM, PLAIN = "premium", "plain"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def sees_premium(principal: Principal | None) -> bool:
    """Whether somebody may know what a quote costs."""
    return principal is not None and principal.can(PREMIUM_VIEW)


def rights_of(principal: Principal | None) -> tuple[bool, bool]:
    """Return on what a quote's state depends: whether somebody sees premiums, and whether they may edit."""
    return sees_premium(principal), principal is not None and principal.can(EDIT)


def audience_of(principal: Principal | None) -> str:
    """Return which variant of a quote's messages somebody gets."""
    return WITH_PREMIUM if sees_premium(principal) else PLAIN


# Five minutes of a busy quote are a few hundred changes of about 300 bytes, twice (one per audience).
RULES = RoomRules(
    history_messages=500,
    history_age_s=300.0,
    history_bytes=524_288,
    presence=True,
    audiences=(PLAIN, WITH_PREMIUM),
    audience_of=audience_of,
)

# Each node tells its own, and nothing is kept: a list that comes later has asked later.
LIST_RULES = RoomRules(delivery="latest", history_messages=0, fed=True)


def room_of(quote_id: str) -> str:
    """Return the room of a quote. Raises InvalidRequest if that is no quote's number."""
    if _UUID.fullmatch(quote_id) is None:
        raise InvalidRequest(
            "This is not the number of a quote.",
            required_action="Send the quote_id in lower case, as the list of quotes has it.",
            will_not="Tidewire will not guess which quote was meant.",
        )
    return PREFIX + quote_id


def require(principal: Principal | None, permission: str) -> Principal:
    """Return the principal. Raises Forbidden without the permission, or without ``quote:view``."""
    for needed in (VIEW, permission):
        if principal is None or not principal.can(needed):
            raise Forbidden(
                f"This needs the permission {needed}, which you do not have.",
                required_action="Ask an administrator to grant it.",
                will_not="Tidewire will not show or change any part of the quote.",
            )
    assert principal is not None  # noqa: S101 - looked at above
    return principal
