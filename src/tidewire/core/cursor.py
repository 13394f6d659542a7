"""A place in a list as a word that a client hands back. Pure; it must not know which list, or what a place is."""

from __future__ import annotations

import base64
from typing import TypeVar

import msgspec

from tidewire.core.unreadable import UNREADABLE

_T = TypeVar("_T")


def write_place(place: object) -> str:
    """Return a place as a word that needs no escape in a query."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def read_place(word: str, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Return the place in a word, with or without its padding. Raises ValueError if there is none of that kind."""
    try:
        return decoder.decode(base64.urlsafe_b64decode(word.encode("ascii") + b"=" * (-len(word) % 4)))
    except (ValueError, *UNREADABLE) as exc:
        raise ValueError("this word is no place of the list") from exc
