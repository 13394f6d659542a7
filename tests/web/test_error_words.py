"""The server's errors in other languages: whatever a quote's page may be told has words, and none is left over."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidewire.core import errors
from tidewire.core.errors import BusError, RequestError, StoreError, TidewireError
from tidewire.web.language import LOCALES

SOURCE = Path(errors.__file__).parents[1]
TABLES = {path.stem: json.loads(path.read_text()) for path in sorted((LOCALES / "errors").glob("*.json"))}
# Whole features whose errors reach a quote's page, and modules that they stand on.
RAISING = [
    *sorted((SOURCE / "quotes").glob("*.py")),
    *(SOURCE / "store" / name for name in ("quotes.py", "calculations.py", "failure.py", "database.py", "bulkhead.py")),
]
# Said at the start or on the command line, to an operator.
NOT_SHOWN = {"rating_plan_invalid", "rating_plan_unreadable", "wrong_media_type", "request_failed"}
# Made of a status or by the hub's rooms, not by a class or a word in RAISING.
MORE = {"unprocessable_content", "state_unavailable", "room_limit"}


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def _codes() -> set[str]:
    words = {
        keyword.value.value
        for path in RAISING
        for call in _calls(path)
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }
    kinds = [TidewireError, StoreError, BusError, RequestError, *RequestError.__subclasses__()]
    return ({*words, *(kind.code for kind in kinds), errors.InvalidFields.code} | MORE) - NOT_SHOWN


def _reasons() -> dict[str, set[str]]:
    """Code of a field's reason -> what its sentence names."""
    found: dict[str, set[str]] = {}
    for path in RAISING:
        for call in _calls(path):
            if isinstance(call.func, ast.Name) and call.func.id == "Unfit":
                code = call.args[1]
                assert isinstance(code, ast.Constant), f"{path.name}:{call.lineno}: the code is not a constant"
                found[code.value] = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    return found


@pytest.mark.parametrize("language", TABLES)
def test_every_error_has_words_in_each_language(language: str) -> None:
    """By its code; a code that nobody uses any more has none."""
    table = {key for key in TABLES[language] if not key.startswith("reason.")}
    assert _codes() >= {"quote_bound", "storage_overloaded", "rate_limited", "internal_error"}
    assert table == _codes()


@pytest.mark.parametrize("language", TABLES)
def test_every_reason_of_a_field_has_words_in_each_language(language: str) -> None:
    """With places for nothing but what the server names."""
    reasons = _reasons()
    assert {"range", "length", "past"} <= set(reasons)
    table = {key.removeprefix("reason."): text for key, text in TABLES[language].items() if key.startswith("reason.")}
    assert set(table) == set(reasons)
    for code, text in table.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= reasons[code], code


def test_there_is_a_language_beside_the_servers_own() -> None:
    """The tables are found, and English has none: it is what the server says."""
    assert "de" in TABLES
    assert "en" not in TABLES
