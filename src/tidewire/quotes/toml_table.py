"""Reads the values of a TOML text strictly, and notes what is wrong with each, with its line. Pure.

It goes on after a problem, with a harmless value, so that a person is told all of them at once; what was read is only
good if nothing was noted. A missing key is noted once, by ``table``. It must not know what the keys mean.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

from tidewire.quotes.toml_place import Path, Places, places_of

Problem = tuple[int, str]

# More digits than Python makes an integer of (sys.int_info.default_max_str_digits); it does not say where they are.
_ENDLESS = re.compile(r"[0-9_]{4301,}")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


class Unreadable(Exception):
    """A text that is not TOML, or has a key twice; ``problems`` says where."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def dotted(path: Path) -> str:
    """Return a path as people write it."""
    return ".".join(str(part) for part in path)


class TomlTables:
    """See the module's text.

    Raises:
        Unreadable: The text is not TOML, or has a key twice.

    Attributes:
        problems: What was noted: (line, reason).
    """

    def __init__(self, text: str) -> None:
        self._places = places_of(text)
        self._raw = _parsed(text, self._places)
        self.problems: list[Problem] = []

    def note(self, path: Path, reason: str) -> None:
        """Note a problem."""
        self.problems.append((self._places.line_of(path), reason))

    def at(self, path: Path) -> object:
        """Return what is at a path, None if nothing is."""
        value: Any = self._raw
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def table(
        self, path: Path, keys: Collection[str] | None, *, every: bool = True, needed: bool = True
    ) -> dict[str, Any]:
        """Return a table, noting unknown keys and, if ``every``, missing ones."""
        table = self.at(path)
        if not isinstance(table, dict):
            if needed or table is not None:
                self.note(path, f"[{dotted(path)}] is missing" if table is None else f"{dotted(path)} must be a table")
            return {}
        if keys is not None:
            for key in table.keys() - set(keys):
                self.note((*path, key), f'"{dotted((*path, key))}" is not a known key')
            for key in set(keys) - table.keys() if every else ():
                self.note(path, f"{dotted((*path, key))} is missing")
        return table

    def text(self, path: Path, shape: re.Pattern[str]) -> str:
        """Return a text of a shape; the last part of ``path`` is its key."""
        value = self.at(path)
        if isinstance(value, str) and shape.fullmatch(value):
            return value
        if value is not None:
            self.note(path, f"{dotted(path)} must be a text like {shape.pattern}")
        return ""

    def texts(self, path: Path, shape: re.Pattern[str]) -> tuple[str, ...]:
        """Return a list of texts of a shape, not empty."""
        value = self.at(path)
        if value is None:
            return ()
        if isinstance(value, list) and value and all(isinstance(v, str) and shape.fullmatch(v) for v in value):
            return tuple(value)
        self.note(path, f"{dotted(path)} must be a list, not empty, of texts like {shape.pattern}")
        return ()

    def flag(self, path: Path) -> bool:
        """Return true or false."""
        value = self.at(path)
        if value is not None and not isinstance(value, bool):
            self.note(path, f"{dotted(path)} must be true or false")
        return value is True

    def whole(self, path: Path, least: int, most: int) -> int:
        """Return a whole number from ``least`` to ``most``."""
        value = self.at(path)
        if type(value) is int and least <= value <= most:
            return value
        if value is not None:
            self.note(path, f"{dotted(path)} must be a whole number from {least} to {most}")
        return least

    def decimal(self, path: Path, least: Decimal, most: Decimal, places: int) -> Decimal:
        """Return a number from ``least`` to ``most`` with at most so many decimal places."""
        value = self.at(path)
        number = Decimal(value) if type(value) is int else value
        if value is None:
            return Decimal(1)
        if not isinstance(number, Decimal) or not number.is_finite():
            self.note(path, f"{dotted(path)} must be a number")
        elif not least <= number <= most:
            self.note(path, f"{dotted(path)} is {_short(number)}; it must be from {least} to {most}")
        elif int(number.as_tuple().exponent) < -places:
            self.note(path, f"{dotted(path)} has more than {places} decimal places")
        else:
            return number
        return Decimal(1)


def _parsed(text: str, places: Places) -> dict[str, Any]:
    twice = [(line, f"{dotted(path)} is written twice, first in line {first}") for path, line, first in places.repeated]
    try:
        return tomllib.loads(text, parse_float=_number)
    except (ValueError, RecursionError) as exc:
        # TOMLDecodeError is a ValueError; so is what Python says of an integer of thousands of digits.
        raise Unreadable(twice or [_syntax(str(exc), text)]) from exc


def _number(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except InvalidOperation:
        # An exponent of twenty digits: for us it is no number, and refused where its key is known.
        return Decimal("NaN")


def _syntax(reason: str, text: str) -> Problem:
    at, endless = _AT_LINE.search(reason), _ENDLESS.search(text)
    if at:
        line = int(at[1])
    else:
        line = text.count("\n", 0, endless.start() if endless and "digits" in reason else len(text)) + 1
    return line, f"this is not TOML: {_AT_LINE.sub('', reason).strip()[:160]}"


def _short(number: Decimal) -> str:
    text = str(number)
    return text if len(text) <= 40 else f"{text[:40]}..."
