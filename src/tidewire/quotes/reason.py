"""Why a change was made that nobody simply typed: as the sentence that is stored, and as a code for programs. Pure.

The sentence is stored, so that rows of every age have one; the code is read from it. Pages in other languages
have words of their own for each code (web/locales/said). It must not know what changes, or when.
"""

from __future__ import annotations

import re

# Code -> the sentence; what it names stands in braces. A sentence that has been stored once stays here for ever.
REASONS = {
    "edited": "{field} was changed",
    "undone": "undo of version {version}",
    "calculated": "a premium was calculated",
    "calculation": "calculation {calculation}",
    "expired": "its time is over",
}
_NUMBERS = frozenset({"version"})
_PATTERNS = {
    code: re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\S+)", re.escape(text))) for code, text in REASONS.items()
}


def reason_of(code: str, **named: str | int) -> str:
    """Return the sentence for a code."""
    return REASONS[code].format(**named)


def why_of(reason: str) -> dict[str, str | int] | None:
    """Return the code of a stored sentence with what it names; None if it has none."""
    for code, pattern in _PATTERNS.items():
        if (found := pattern.fullmatch(reason)) is not None:
            named = found.groupdict()
            return {"code": code, **{name: _read(name, value) for name, value in named.items()}}
    return None


def _read(name: str, value: str) -> str | int:
    return int(value) if name in _NUMBERS and value.isascii() and value.isdecimal() else value
