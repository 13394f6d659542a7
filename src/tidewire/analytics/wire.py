"""Analytics' messages as structs, and how a view's parts become them. Pure.

A dashboard is a handful of named parts. A snapshot has all of them; every other update has whole parts that replace
those of the same name, so a part that was skipped for a newer one leaves no trace. Whatever shows a premium goes
through ``shown`` here, and nowhere else. ``docs/protocol.md`` has an example of each message.
Source: contract.md section 5 (``start_analytics``); docs/decisions/0017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from tidewire.analytics.rules import PLAIN, WITH_PREMIUM, View
from tidewire.core.protocol import Epoch, MessageId, Offset, RoomId, Since
from tidewire.store.records import JsonValue

UPDATE, EVENT = "analytics_update", "analytics_event"
# The only part that tells what quotes cost.
PREMIUM_PART = "premium"
# Not a figure: why the figures are not newer; null while they are.
FAILURE_PART = "failure"
WITHHELD: JsonValue = {"withheld": True}
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Parts = Mapping[str, JsonValue]

# ---- client to server ------------------------------------------------------------------------------------------------


class _Client(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client sends. Unknown fields are ignored."""

    id: MessageId | None = None


class StartAnalytics(_Client, frozen=True, kw_only=True, tag="start_analytics"):
    """Watch a dashboard: a snapshot, then what changes. Of one dashboard a connection has one view at a time."""

    dashboard: Name
    filters: dict[str, Any] = {}


class StopAnalytics(_Client, frozen=True, kw_only=True, tag="stop_analytics"):
    """Watch a dashboard no longer; without a name: none."""

    dashboard: Name | None = None


CLIENT_TYPES: tuple[type[msgspec.Struct], ...] = (StartAnalytics, StopAnalytics)

# ---- server to client ------------------------------------------------------------------------------------------------


class UpdateBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``analytics_update`` says.

    Attributes:
        filters: ``hours``, ``state``, ``product``; null: all.
        as_of: When the figures were true, Unix seconds; also of a message without parts: they still are.
        complete: Whether these are all parts there are (a snapshot), or those that have changed.
    """

    dashboard: str
    filters: dict[str, Any]
    as_of: float
    complete: bool
    parts: dict[str, Any]


class AnalyticsUpdate(UpdateBody, frozen=True, kw_only=True, tag_field="type", tag=UPDATE):
    """The same, as a message.

    Attributes:
        epoch, offset: Of what is sent to the room; a snapshot is sent to one connection, and has none.
        includes: Only of a snapshot: the room's place whose updates, and those before it, are in it already.
    """

    room_id: RoomId
    timestamp: float
    epoch: Epoch | msgspec.UnsetType = msgspec.UNSET
    offset: Offset | msgspec.UnsetType = msgspec.UNSET
    includes: Since | msgspec.UnsetType = msgspec.UNSET


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``analytics_event`` says.

    Attributes:
        event: ``quote_created``, ``quote_converted``, ``api_response`` or ``calculation_complete``.
        at: When, Unix seconds, by the clock of ``node``.
        skipped: How many of this kind that node has not told since the one before.
        state, product: Of the quote; empty where it is about none.
        data: What else is known of it; never what a quote costs.
    """

    event: str
    at: float
    node: str
    state: str = ""
    product: str = ""
    skipped: int = 0
    data: dict[str, Any] = {}


class AnalyticsEvent(EventBody, frozen=True, kw_only=True, tag_field="type", tag=EVENT):
    """The same, as a message of a room. Volatile: it may be missed, the figures are not."""

    room_id: RoomId
    timestamp: float


class FilterChoices(msgspec.Struct, frozen=True, kw_only=True):
    """What filters may name; empty where a dashboard has no such filter."""

    hours_max: int
    states: list[str]
    products: list[str]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the reply to ``start_analytics``."""

    room_id: str
    dashboard: str
    filters: dict[str, Any]
    choices: FilterChoices


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the reply to ``stop_analytics``: the rooms that have been left."""

    rooms: list[str]


SERVER_TYPES: tuple[type[msgspec.Struct], ...] = (AnalyticsUpdate, AnalyticsEvent)


def shown(parts: Parts, *, premium: bool) -> dict[str, JsonValue]:
    """Return parts as somebody may see them."""
    return {name: WITHHELD if name == PREMIUM_PART and not premium else value for name, value in parts.items()}


def update_bodies(view: View, as_of: float, parts: Parts) -> dict[str, bytes]:
    """Return the members of an update with changed parts, one variant per audience."""
    return {
        audience: msgspec.json.encode(
            UpdateBody(
                dashboard=view.dashboard,
                filters=view.filters,
                as_of=as_of,
                complete=False,
                parts=shown(parts, premium=audience == WITH_PREMIUM),
            )
        )
        for audience in (PLAIN, WITH_PREMIUM)
    }


def snapshot(
    view: View, as_of: float, parts: Parts, *, premium: bool, timestamp: float, place: tuple[str, int] | None
) -> bytes:
    """Return the whole message with all parts."""
    return msgspec.json.encode(
        AnalyticsUpdate(
            room_id=view.room_id,
            timestamp=timestamp,
            includes=msgspec.UNSET if place is None else Since(*place),
            dashboard=view.dashboard,
            filters=view.filters,
            as_of=as_of,
            complete=True,
            parts=shown(parts, premium=premium),
        )
    )
