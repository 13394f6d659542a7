"""The server's errors in other languages: whatever a page can be told has words, they are filled, and none is left."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import pytest

from tidewire.core import errors
from tidewire.core.errors import BusError, RequestError, StoreError, TidewireError
from tidewire.store import failure
from tidewire.web.language import LOCALES

SOURCE = Path(errors.__file__).parents[1]
TABLES = {path.stem: json.loads(path.read_text()) for path in sorted((LOCALES / "errors").glob("*.json"))}
# Whole packages whose errors reach a page, and the modules beside them through which a page asks.
PACKAGES = ("accounts", "alerts", "analytics", "bus", "feed", "hub", "monitoring", "quotes", "store", "vitals", "web")
MODULES = ("app/operator_side.py", "app/feed_call.py", "market/commands.py")
RAISING = [
    *(path for package in PACKAGES for path in sorted((SOURCE / package).glob("*.py"))),
    *(SOURCE / name for name in MODULES),
]
# Errors of the start, of the venue and of a line's own: a log or the line's badge tells them.
OTHER_TREES = {"SettingsError", "UpstreamError", "IllegalTransition"}
# Said at the start, on the command line, or to programs that send what no page sends.
NOT_SHOWN = {
    *("rating_plan_invalid", "rating_plan_unreadable", "request_failed", "schema_unknown", "universe_invalid"),
    *("unknown_key", "subscription_refused"),
}
# Made of a status, or by what the client in the browser finds itself.
MORE = {
    *("unprocessable_content", "method_not_allowed", "state_unavailable", "no_answer", "not_connected"),
    *("queue_full", "client_closed", "other_user", "already_subscribed"),
}
# Functions that make an error of their first argument, a code, and of what is named: -> what they name themselves.
MAKERS = {"ban_book.py": {"_refused": {"given"}}, "policy.py": {"_refuse": set[str]()}}
# Errors made again from one that somebody else has raised, or by a table: where, and which codes.
STATES = {code for code, _, _ in (*failure._STATES.values(), *failure._SQLITE.values())}
PASSED_ON = {
    "failure.py": STATES,
    "feed_control.py": {"feed_refused"},
    "health.py": set[str](),
    "problem.py": set[str](),
    "redis_log.py": {"broker_readonly", "broker_unavailable"},
}


class Site(msgspec.Struct, frozen=True):
    """Where an error is made: its code, what is named always, and what may be named beside that."""

    place: str
    code: str
    named: frozenset[str] = frozenset()
    sometimes: frozenset[str] = frozenset()


# Errors of their class, wherever they are made.
CLASSES = {kind.code for kind in (TidewireError, StoreError, BusError, RequestError, *RequestError.__subclasses__())}
CLASSES |= {errors.InvalidFields.code}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call))


def _word(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _keys(details: ast.expr | None) -> tuple[frozenset[str], frozenset[str]]:
    """What a dictionary in the source always has, and what stands in parts that may be left out."""
    if not isinstance(details, ast.Dict):
        return frozenset(), frozenset()
    own = {_word(key) for key in details.keys if key is not None}
    parts = (value for key, value in zip(details.keys, details.values, strict=True) if key is None)
    inner = (node for part in parts for node in ast.walk(part) if isinstance(node, ast.Dict))
    maybe = {_word(key) for node in inner for key in node.keys}
    return frozenset(word for word in own if word), frozenset(word for word in maybe if word)


def _sites() -> Iterator[Site]:
    for path in RAISING:
        for call in _calls(path):
            keywords = {each.arg: each.value for each in call.keywords if each.arg is not None}
            place = f"{path.parent.name}/{path.name}:{call.lineno}"
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            own = MAKERS.get(path.name, {}).get(name)
            if own is not None:
                code = _word(call.args[0])
                assert code is not None, f"{place}: the code is not a constant"
                yield Site(place, code, frozenset({*own, *keywords}))
            elif "required_action" in keywords and name not in OTHER_TREES:
                yield from _made(path, place, name, keywords)


def _made(path: Path, place: str, name: str, keywords: dict[str, ast.expr]) -> Iterator[Site]:
    given = keywords.get("code")
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, TidewireError)):
        return
    code = kind.code if given is None else _word(given) or _constant(path, given)
    if code is not None:
        yield Site(place, code, *_keys(keywords.get("details")))
    elif path.name not in MAKERS:
        assert path.name in PASSED_ON, f"{place}: the code is not a constant, and nobody says which it may be"
        yield from (Site(place, each) for each in PASSED_ON[path.name])


def _constant(path: Path, node: ast.expr) -> str | None:
    """What a name in capitals stands for in its module."""
    for each in _tree(path).body:
        if isinstance(each, ast.Assign) and isinstance(node, ast.Name) and ast.unparse(each.targets[0]) == node.id:
            return _word(each.value)
    return None


def _places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def _reasons() -> dict[str, set[str]]:
    """Code of a field's reason -> what its sentence names, wherever it is given."""
    found: dict[str, set[str]] = {}

    def note(code: str, names: set[str]) -> None:
        found[code] = found.get(code, names) & names

    for path in RAISING:
        for call in _calls(path):
            name = ast.unparse(call.func)
            if name in ("Unfit", "self._note") and len(call.args) > 1 and path.name != "user_admin.py":
                code = _word(call.args[1])
                if name == "Unfit":
                    assert code is not None, f"{path.name}:{call.lineno}: the code is not a constant"
                if code is not None:
                    note(code, {each.arg for each in call.keywords if each.arg is not None})
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Dict) and "code" in (
                keys := dict(zip(map(_word, node.keys), node.values, strict=True))
            ):
                code = _word(keys["code"])
                if code is not None and code.isidentifier():
                    note(code, {key for key in keys if key is not None} - {"code"})
    return found


SITES = list(_sites())


def _codes() -> set[str]:
    return ({site.code for site in SITES} | CLASSES | MORE) - NOT_SHOWN


def _errors(language: str) -> dict[str, str]:
    return {key: text for key, text in TABLES[language].items() if not key.startswith("reason.")}


@pytest.mark.parametrize("language", TABLES)
def test_every_error_has_words_in_each_language(language: str) -> None:
    """By its code; a code that nobody uses any more has none."""
    codes = _codes()
    assert codes >= {"quote_bound", "storage_overloaded", "rate_limited", "internal_error", "last_node", "banned"}
    assert {key for key in _errors(language) if "." not in key} == codes


@pytest.mark.parametrize("language", TABLES)
def test_words_have_places_for_nothing_but_what_is_named_wherever_the_error_is_made(language: str) -> None:
    """So nobody reads a bare {place}; words for ``code.name`` serve the errors that name it, the rest the others."""
    table = _errors(language)
    for key, text in table.items():
        code, _, name = key.partition(".")
        sites = [site for site in SITES if site.code == code]
        closer = {each.partition(".")[2] for each in table if each.startswith(f"{code}.")}
        if name:
            sites = [site for site in sites if name in site.named | site.sometimes]
            assert sites, f"{key}: no such error names it"
        else:
            sites = [site for site in sites if not closer & site.named]
        for site in sites:
            assert _places(text) <= site.named | {name}, f"{key}, made at {site.place}"
        assert sites or not _places(text), f"{key}: nobody is known who names anything"


@pytest.mark.parametrize("language", TABLES)
def test_words_say_what_happened_what_to_do_and_what_will_not_be_done(language: str) -> None:
    """Three sentences, and the first ends where pages take it for a title: at the first full stop before a space."""
    for key, text in _errors(language).items():
        happened, _, rest = text.partition(". ")
        assert len(happened) >= 15, key
        assert len(re.findall(r"[.“](?: |$)", rest)) >= 2, key


@pytest.mark.parametrize("language", TABLES)
def test_every_reason_of_a_field_has_words_in_each_language(language: str) -> None:
    """With places for nothing but what the server names."""
    reasons = _reasons()
    assert {"range", "length", "past", "unknown_metric", "bad_reason", "cannot_be"} <= set(reasons)
    table = {key.removeprefix("reason."): text for key, text in TABLES[language].items() if key.startswith("reason.")}
    assert set(table) == set(reasons)
    for code, text in table.items():
        assert _places(text) <= reasons[code], code


def test_there_is_a_language_beside_the_servers_own() -> None:
    """The tables are found, and English has none: it is what the server says."""
    assert "de" in TABLES
    assert "en" not in TABLES
