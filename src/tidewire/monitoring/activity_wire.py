"""The activity log as messages and documents: how filters are read, how a row looks, what of it is masked. Pure.

Socket, HTTP and export read filters and make rows here, so that all of them show the same. It must not know rooms, SQL
or who asks. ``docs/protocol.md`` has an example of each message. Source: contract.md section 5; dashboard.md M11.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from tidewire.core.errors import InvalidRequest
from tidewire.core.protocol import ErrorBody, MessageId, RoomId
from tidewire.store.activity import ActivityFilter
from tidewire.store.records import ActivityRecord, JsonValue

FAMILY = "admin:user_activity"
PERMISSION = "audit:read"
TEXT_MAX = 200
# Years 1 to 9999, as databases know them.
MOMENT_MAX = 253_402_300_799.0
# Details that are longer are left out of live messages: a page of them would be too long for one. HTTP has them whole.
DETAILS_MAX_BYTES = 4_000
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WILL_NOT = "Tidewire will not guess which rows were meant."


class ActivityFilters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows are wanted; what is empty asks for nothing. ``since``, ``until``: Unix seconds or ISO 8601."""

    who: str = ""
    action: str = ""
    target: str = ""
    ip: str = ""
    since: float | str | None = None
    until: float | str | None = None
    text: str = ""


class StartUserActivity(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start_user_activity"):
    """Enter one's own room of the activity log: the newest rows that the filters show, then each new one once."""

    id: MessageId | None = None
    filters: ActivityFilters = ActivityFilters()


class StopUserActivity(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="stop_user_activity"):
    """Leave that room."""

    id: MessageId | None = None


class ActivityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``actor_id``: null if the user is deleted, or if it was not a user."""

    id: int
    at: float
    actor: str
    actor_id: int | None
    action: str
    target: str
    ip: str
    details: dict[str, Any]


class UserActivity(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="user_activity"):
    """What is in the log.

    ``page``: the newest rows, newest first; they replace what you have, and ``cursor`` asks HTTP for older ones.
    ``rows``: new ones, oldest first. ``interrupted``: the log cannot be read now, ``error`` says why; rows follow.
    """

    room_id: RoomId
    timestamp: float
    event: Literal["page", "rows", "interrupted"]
    rows: list[ActivityRow]
    cursor: str | None = None
    error: ErrorBody | None = None


CLIENT_TYPES: tuple[type[msgspec.Struct], ...] = (StartUserActivity, StopUserActivity)
SERVER_TYPES: tuple[type[msgspec.Struct], ...] = (UserActivity,)


def read_filters(given: ActivityFilters, *, masked: bool = False) -> ActivityFilter:
    """Return the filter. Raises InvalidRequest if it can show nothing, or if nobody can have meant it.

    Args:
        masked: Addresses are masked, and must not be found out by asking for them.
    """
    for name in ("who", "action", "target", "ip", "text"):
        value = getattr(given, name)
        if len(value) > TEXT_MAX or _CONTROL.search(value):
            raise _refused(f"The filter {name} is longer than {TEXT_MAX} characters or has control characters.", name)
    if given.action and _ACTION.fullmatch(given.action) is None:
        raise _refused("The filter action is not the name of one: use user.login, or user for all of users.", "action")
    since, until = read_moment("since", given.since), read_moment("until", given.until)
    if since is not None and until is not None and since >= until:
        raise _refused("The filter since is not before until, so that it can show nothing.", "since")
    if masked and given.ip:
        raise _refused(
            "The filter ip is not to be had: addresses are masked here (TIDEWIRE_ACTIVITY_MASK_ADDRESSES).", "ip"
        )
    return ActivityFilter(
        who=given.who.strip(),
        action=given.action,
        target=given.target.strip(),
        ip=_one_form(given.ip.strip()),
        since=since,
        until=until,
        text=given.text,
    )


def read_moment(name: str, given: float | str | None) -> float | None:
    """Return Unix seconds; None for none. Raises InvalidRequest."""
    if given is None or given == "":
        return None
    try:
        moment = float(given)
    except ValueError:
        moment = _of_iso(name, str(given))
    if not math.isfinite(moment) or not 0 <= moment <= MOMENT_MAX:
        raise _refused(f"The filter {name} is no moment between 1970 and 9999.", name)
    return moment


def _of_iso(name: str, given: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            raise _refused(f"The filter {name} has no zone: which moment it is cannot be told.", name)
        return moment.timestamp()
    except (ValueError, OverflowError) as exc:
        raise _refused(f"The filter {name} is no moment.", name) from exc


def _refused(what: str, name: str) -> InvalidRequest:
    action = "Send who, action, target, ip and text (each up to 200 characters), since and until "
    return InvalidRequest(
        what,
        required_action=action + "(Unix seconds, or ISO 8601 with a zone), or leave them out.",
        will_not=_WILL_NOT,
        code="invalid_filter",
        details={"filter": name},
    )


def row_of(record: ActivityRecord, *, masked: bool, brief: bool = False) -> ActivityRow:
    """Return a row as people see it.

    Args:
        masked: Addresses lose their last part, wherever in the row they stand.
        brief: Leave out details that are too long for a message.
    """
    entry = record.entry
    details: dict[str, Any] = dict(entry.details)
    if brief and (size := len(msgspec.json.encode(details))) > DETAILS_MAX_BYTES:
        details = {"left_out_bytes": size}
    return ActivityRow(
        id=record.id,
        at=entry.at,
        actor=entry.actor,
        actor_id=entry.actor_id,
        action=entry.action,
        target=mask(entry.target) if masked else entry.target,
        ip=mask(entry.ip) if masked else entry.ip,
        details={name: _masked(value) for name, value in details.items()} if masked else details,
    )


def mask(text: str) -> str:
    """Return an address without its last part (IPv4: 8 bits; IPv6: 80); any other text as it is."""
    bare, _, length = text.partition("/")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return text if _is_wide(length, 48) else str(ipaddress.IPv6Network((int(address), 48), strict=False))
        address = address.ipv4_mapped
    return text if _is_wide(length, 24) else str(ipaddress.IPv4Network((int(address), 24), strict=False))


def _is_wide(length: str, kept: int) -> bool:
    """Whether a network tells no more than a masked address would."""
    return length.isdecimal() and int(length) <= kept


def _masked(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {name: _masked(each) for name, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value


def _one_form(ip: str) -> str:
    """Return an address as it is written down, however it was typed; any other text as it is."""
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        return ip
