"""An error's sentences in the reader's language, for pages that are made here. It must not know pages or requests.

The tables in ``locales/errors/`` are shared with the scripts in frontend/ (``ui/error-words.ts``), and so are their
rules: ``code.name`` is for an error whose details have ``name``, and a text is taken apart before it is filled. The
server's own language has no table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tidewire.web.language import DEFAULT, LOCALES

_PLACE = re.compile(r"\{(\w+)\}")


class Said(msgspec.Struct, frozen=True):
    """What happened, what to do, what will not be done; in ``language``, which need not be the reader's."""

    happened: str
    action: str
    will_not: str
    language: str


class ErrorWords:
    """The tables of all languages.

    Args:
        folder: Holds one ``xx.json`` per language.
    """

    def __init__(self, folder: Path = LOCALES / "errors") -> None:
        self._tables = {
            path.stem: msgspec.json.decode(path.read_bytes(), type=dict[str, str])
            for path in sorted(folder.glob("*.json"))
        }

    def say(self, language: str, code: str, details: Mapping[str, object] | None, own: Sequence[str]) -> Said:
        """Return the words for ``code``, or the server's ``own`` three sentences if there are none."""
        named = details or {}
        table = self._tables.get(language, {})
        keys = (*(f"{code}.{name}" for name in named), code)
        text = next((table[key] for key in keys if key in table), None)
        if text is None:
            happened, action, will_not = own
            return Said(happened, action, will_not, DEFAULT)
        happened, _, rest = text.partition(". ")
        action, _, will_not = rest.rpartition(". ")
        return Said(_filled(f"{happened}.", named), _filled(f"{action}.", named), _filled(will_not, named), language)


def _filled(text: str, named: Mapping[str, object]) -> str:
    return _PLACE.sub(lambda place: str(named.get(place[1], place[0])), text)
