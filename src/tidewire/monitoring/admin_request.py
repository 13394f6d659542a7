"""What a viewer may ask for, as checked structs. Pure; it must not know sockets or who answers.

Source: docs/admin-channel.md (client to server). Unknown fields are refused, so that a misspelt option is an error
and not a silence.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tidewire.core.errors import InvalidRequest
from tidewire.monitoring.tick_filter import TickFilter

# The exact words that confirm stopping the feed for everybody.
PAUSE_FEED_CONFIRMATION = "pause feed"

_Request = TypeVar("_Request", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


class SetOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part that is absent stays as it is; ``filter`` null removes the filter."""

    batch: bool | UnsetType = UNSET
    filter: TickFilter | UnsetType | None = UNSET


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One connection's stream, or all if absent."""

    connection_id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class InspectTick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tick's number in this process."""

    id: Annotated[int, Meta(ge=1, le=2**53)]


class PauseFeed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stop the upstream lines for everybody."""

    confirm: Annotated[str, Meta(max_length=64)] = ""
    reason: Annotated[str, Meta(max_length=500)] = ""


class ReconnectLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End one upstream connection and begin anew."""

    connection_id: Annotated[str, Meta(min_length=1, max_length=64)]


class MoveTicker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Give a ticker to another line."""

    symbol: Annotated[str, Meta(min_length=1, max_length=32)]
    connection_id: Annotated[str, Meta(min_length=1, max_length=64)]


def parse_request(arguments: tuple[object, ...], wanted: type[_Request]) -> _Request:
    """Return the event's only argument as ``wanted``. Raises InvalidRequest."""
    if len(arguments) > 1:
        raise _invalid(f"one object is expected, {len(arguments)} arguments came")
    data = arguments[0] if arguments else None
    try:
        return msgspec.convert({} if data is None else data, type=wanted)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise _invalid(str(exc)) from exc


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request was not understood: {problem}.",
        required_action="Send the object described in docs/admin-channel.md.",
        will_not="Tidewire will not guess what was meant; nothing was changed.",
    )
