"""Chooses the reader's language and looks words up in the catalogues. It must not know templates or pages.

The catalogues in ``locales/`` are shared with the scripts in frontend/, so that a word is translated once.
Source: RFC 9110 section 12.5.4 (Accept-Language).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request

from tidewire.core.errors import SettingsError

LOCALES = Path(__file__).resolve().parent / "locales"
DEFAULT = "en"
# Set by the page's language choice; read here so that the first byte is in the right language.
LANGUAGE_COOKIE = "tidewire_language"

_PLACE = re.compile(r"\{(\w+)\}")


class Catalogue:
    """The words of one language.

    Args:
        language: Two-letter code.
        words: Key to text; ``{name}`` marks a place to fill.
    """

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self.language = language
        self.words = words

    def text(self, key: str, /, **values: object) -> str:
        """Return the text of ``key`` with its places filled. Raises KeyError for an unknown key or place."""
        return _PLACE.sub(lambda found: str(values[found[1]]), self.words[key])


class Catalogues:
    """All languages there are.

    Args:
        folder: Holds one ``xx.json`` per language.
    """

    def __init__(self, folder: Path = LOCALES) -> None:
        self._by_language = {
            path.stem: Catalogue(path.stem, msgspec.json.decode(path.read_bytes(), type=dict[str, str]))
            for path in sorted(folder.glob("*.json"))
        }
        if DEFAULT not in self._by_language:
            raise SettingsError(
                f"The catalogue {DEFAULT}.json is missing.",
                required_action="Install Tidewire again; the package is not complete.",
                will_not="Tidewire will not serve pages without words.",
            )

    @property
    def languages(self) -> list[str]:
        """The codes of all languages, ascending."""
        return list(self._by_language)

    def translated(self, catalogue: Catalogue, key: str, said: str) -> str:
        """Return a sentence of ours in the language of ``catalogue``; any other than that of ``key`` as it is."""
        return catalogue.words[key] if self._by_language[DEFAULT].words.get(key) == said else said

    def choose(self, request: Request) -> Catalogue:
        """Return the catalogue for the cookie's language, else for the best of Accept-Language, else the default."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        if chosen in self._by_language:
            return self._by_language[chosen]
        for language in accepted(request.headers.get("accept-language", "")):
            if language in self._by_language:
                return self._by_language[language]
        return self._by_language[DEFAULT]


def accepted(header: str) -> list[str]:
    """Return the primary languages of an Accept-Language header, best first; nonsense in it is left out."""
    weighted: list[tuple[float, int, str]] = []
    # 1,000 characters and 20 entries: more than any browser sends, and it bounds the work of a hostile header.
    for place, item in enumerate(header[:1000].split(",")[:20]):
        tag, _, parameter = item.strip().partition(";")
        primary = tag.strip().split("-")[0].lower()
        weight = _weight(parameter)
        if primary.isalpha() and weight > 0:
            weighted.append((-weight, place, primary))
    return list(dict.fromkeys(language for _, _, language in sorted(weighted)))


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value) if 0.0 <= float(value) <= 1.0 else 0.0
    except ValueError:
        return 0.0
