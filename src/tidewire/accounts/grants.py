"""The one rule book for rooms: what rooms there are, who may enter one, and who may publish to it. Pure.

It must not know sessions, sockets or what a room contains. Nobody enters a room without a grant from here.
Source: contract.md section 5, "Rooms", and section 6, permissions; reliability.md 3.1 item 10.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tidewire.accounts.model import Principal
from tidewire.core.errors import Forbidden, InvalidRequest

_NAME = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,127}")
# Venues write share classes and units with a dot, hyphen or slash; the slash is not in the room grammar.
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9.\-]{0,31}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_USER = re.compile(r"[1-9][0-9]{0,17}")
# A dashboard, and what of it: hours, state, product (analytics/rules.py).
_DASHBOARD = re.compile(r"(quotes|conversion|performance)(\.h[1-9][0-9]{0,2})?(\.s-[a-z]{2})?(\.p-[a-z0-9_-]{1,40})?")
_ANYTHING = re.compile(r"[a-z0-9_.:-]{1,120}")


class Address(msgspec.Struct, frozen=True):
    """A room's name, taken apart.

    Attributes:
        room_id: The whole name.
        family: The part that names its rules: ``market``, ``admin:performance``, ...
        key: What the family has many of: a symbol, a user id, any text.
    """

    room_id: str
    family: str
    key: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do with a room."""

    enter: bool
    publish: bool


NOTHING = Grant(enter=False, publish=False)
_Rule = Callable[[Principal | None, str], Grant]


def _with_permission(permission: str) -> _Rule:
    def rule(principal: Principal | None, key: str) -> Grant:
        return Grant(enter=principal is not None and principal.can(permission), publish=False)

    return rule


_analyst = _with_permission("analytics:read")


def _own(principal: Principal | None, key: str) -> Grant:
    return Grant(enter=principal is not None and str(principal.user_id) == key, publish=False)


def _own_admin(principal: Principal | None, key: str) -> Grant:
    return Grant(enter=principal is not None and principal.is_admin and str(principal.user_id) == key, publish=False)


def _own_analyst(principal: Principal | None, key: str) -> Grant:
    return Grant(enter=_own(principal, key).enter and _analyst(principal, key).enter, publish=False)


def _own_admin_analyst(principal: Principal | None, key: str) -> Grant:
    return Grant(enter=_own_admin(principal, key).enter and _analyst(principal, key).enter, publish=False)


def _own_with(permission: str) -> _Rule:
    def rule(principal: Principal | None, key: str) -> Grant:
        own = principal is not None and str(principal.user_id) == key
        return Grant(enter=own and principal is not None and principal.can(permission), publish=False)

    return rule


def _application(principal: Principal | None, key: str) -> Grant:
    return NOTHING if principal is None else Grant(enter=True, publish=principal.can("rooms:publish"))


def _public(principal: Principal | None, key: str) -> Grant:
    return Grant(enter=True, publish=principal is not None and principal.can("rooms:publish"))


@dataclass(frozen=True, slots=True)
class _Family:
    key: re.Pattern[str]
    rule: _Rule
    needs: str


_FAMILIES: dict[str, _Family] = {
    "market": _Family(_SYMBOL, _with_permission("market:view"), "the permission market:view"),
    "quote": _Family(_UUID, _with_permission("quote:view"), "the permission quote:view"),
    "quotes": _Family(re.compile("list"), _with_permission("quote:view"), "the permission quote:view"),
    "analytics": _Family(_DASHBOARD, _with_permission("analytics:read"), "the permission analytics:read"),
    "admin:system_monitoring": _Family(_USER, _own_analyst, "the permission analytics:read, and to be that user"),
    "admin:user_activity": _Family(_USER, _own_with("audit:read"), "to be that user and the permission audit:read"),
    "admin:performance": _Family(
        _USER, _own_admin_analyst, "the permission analytics:read, and to be that administrator"
    ),
    "user": _Family(_USER, _own, "to be that user"),
    "app": _Family(_ANYTHING, _application, "to be logged in"),
    "public": _Family(_ANYTHING, _public, "nothing"),
}
FAMILIES = frozenset(_FAMILIES)


def resolve(room_id: str) -> Address:
    """Take a room's name apart. Raises InvalidRequest if it is not a room's name."""
    prefix, _, rest = room_id.partition(":")
    family, key = prefix, rest
    if prefix == "admin":
        kind, _, key = rest.partition(":")
        family = f"admin:{kind}"
    known = _FAMILIES.get(family)
    # Only a symbol may leave the general grammar, and it has one of its own.
    lawful = family == "market" or _NAME.fullmatch(room_id) is not None
    if known is None or not lawful or known.key.fullmatch(key) is None:
        raise InvalidRequest(
            "This is not the name of a room.",
            required_action="Use one of the forms in docs/protocol.md, for example market:AAPL or app:lobby.",
            will_not="Tidewire will not guess which room was meant.",
            details={"no_room": room_id[:64]},
        )
    return Address(room_id, family, key)


def own_room(user_id: int) -> Address:
    """Return the address of a user's own room."""
    key = str(user_id)
    return Address(f"user:{key}", "user", key)


def grant_for(principal: Principal | None, address: Address) -> Grant:
    """Return what ``principal`` (None: anonymous) may do with the room."""
    return _FAMILIES[address.family].rule(principal, address.key)


def require_enter(principal: Principal | None, address: Address) -> Grant:
    """Return the grant. Raises Forbidden if it does not include entering."""
    grant = grant_for(principal, address)
    if not grant.enter:
        raise Forbidden(
            f"You may not enter {address.room_id}: that needs {_FAMILIES[address.family].needs}.",
            required_action="Ask an administrator, or log in as somebody who may.",
            will_not="Tidewire will not send you any message of the room.",
            details={"room": address.room_id},
        )
    return grant


def require_publish(principal: Principal | None, address: Address) -> Grant:
    """Return the grant. Raises Forbidden if it does not include publishing."""
    grant = grant_for(principal, address)
    if not (grant.enter and grant.publish):
        takes = "no messages from clients"
        if address.family in ("app", "public"):
            takes = "messages only from those with the permission rooms:publish"
        raise Forbidden(
            f"The room {address.room_id} takes {takes}.",
            required_action="Ask an administrator for the permission, if the room is meant for it.",
            will_not="Tidewire will not deliver the message.",
            details={"publish_room": address.room_id},
        )
    return grant
