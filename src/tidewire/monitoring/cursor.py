"""A place in a list that is sorted by a time and a number, as a word. Pure; it must not know which list."""

from __future__ import annotations

import msgspec

from tidewire.core.cursor import read_place, write_place
from tidewire.core.errors import InvalidRequest

CHARS_MAX = 128
_decoder = msgspec.json.Decoder(tuple[float, int])


def write_cursor(after: tuple[float, int] | None) -> str | None:
    """Return the place as a word; None for none."""
    return None if after is None else write_place(after)


def read_cursor(cursor: str) -> tuple[float, int] | None:
    """Return the place; None for an empty word. Raises InvalidRequest."""
    if not cursor:
        return None
    try:
        at, number = read_place(cursor, _decoder)
    except ValueError as exc:
        raise _none() from exc
    if not 0 <= at <= 253_402_300_799 or not 0 <= number < 2**63:
        raise _none()
    return at, number


def _none() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one of this list.",
        required_action="Send the cursor of the answer before, or none to begin anew.",
        will_not="Tidewire will not guess where to go on; nothing was read.",
    )
