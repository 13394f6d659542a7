"""What the server says beside errors has words in every language: each code that it can send, and none is left over."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tidewire.alerts.rule import Read
from tidewire.alerts.wire import AlertCode
from tidewire.cli.demo import NOTICE
from tidewire.core import errors
from tidewire.core.close_code import CLOSE_CODES
from tidewire.feed.conversation import _FATAL
from tidewire.feed.line import _ON_REQUEST
from tidewire.monitoring.dashboard_builtin import OVERVIEW
from tidewire.quotes import facts
from tidewire.quotes.model import COVERAGES
from tidewire.quotes.plan_shelf import load_plans
from tidewire.quotes.reason import REASONS, reason_of, why_of
from tidewire.web.language import LOCALES

SOURCE = Path(errors.__file__).parents[1]
TABLES = {path.stem: json.loads(path.read_text()) for path in sorted((LOCALES / "said").glob("*.json"))}
CHECKING = [SOURCE / "app" / "vitals_checks.py", SOURCE / "vitals" / "checks.py"]
# What checks ask, and what those raise with codes of their own; what stores raise is in errors/.
ASKED = [SOURCE / "bus" / "request.py", SOURCE / "core" / "loop_watch.py"]
MORE = {"feed_absent": set[str]()}
# What stands in a finding that is no failure has nothing to be done about it.
_FINDING, _FAILURES = "Finding", ("Unavailable", "BusError", "CheckResult")


def _calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, {each.arg: each.value for each in node.keywords if each.arg is not None}


def _details(given: ast.expr | None) -> set[str]:
    if not isinstance(given, ast.Dict):
        return set()
    return {key.value for key in given.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def _checks() -> dict[str, tuple[str, set[str]]]:
    """Code -> what makes it, and what it names."""
    found: dict[str, tuple[str, set[str]]] = {code: ("Unavailable", names) for code, names in MORE.items()}
    for path in (*CHECKING, *ASKED):
        for name, keywords in _calls(path):
            code = keywords.get("code")
            if name in (_FINDING, *_FAILURES) and isinstance(code, ast.Constant) and isinstance(code.value, str):
                found[code.value] = (name, _details(keywords.get("details")))
    return found


def test_every_concern_and_remark_of_a_check_has_a_code() -> None:
    """Nothing that a check says is without one, or it could be said in English only."""
    for path in CHECKING:
        for name, keywords in _calls(path):
            said = (name == "Unavailable") or (name == _FINDING and "remark" in keywords)
            assert not said or "code" in keywords, (
                path.name,
                {key: ast.unparse(each) for key, each in keywords.items()},
            )


@pytest.mark.parametrize("language", TABLES)
def test_every_reason_of_a_check_has_words(language: str) -> None:
    """And what to do, where something is wrong; with places for nothing but what the server names."""
    checks = _checks()
    assert {"check_unanswered", "check_lines_down", "check_files_open", "no_reply", "event_loop_stalled"} <= set(checks)
    wanted = set(checks) | {f"{code}.action" for code, (kind, _) in checks.items() if kind in _FAILURES}
    assert set(_of("check", language)) == wanted
    for code, text in _of("check", language).items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= checks[code.removesuffix(".action")][1], code


@pytest.mark.parametrize("language", TABLES)
def test_every_reason_of_a_change_has_words_and_is_known_again(language: str) -> None:
    """The code is read back from each sentence as it is stored; somebody's own words have none."""
    table = _of("change", language)
    assert set(table) == set(REASONS)
    for code, text in REASONS.items():
        names = re.findall(r"\{(\w+)\}", text)
        given: dict[str, str | int] = {name: 7 if name == "version" else "vehicle_year" for name in names}
        assert why_of(reason_of(code, **given)) == {"code": code, **given}
        assert sorted(re.findall(r"\{(\w+)\}", table[code])) == sorted(names)
    assert [why_of(text) for text in ("", "undo of version", "because a premium was calculated")] == [None] * 3


@pytest.mark.parametrize("language", TABLES)
def test_every_line_of_a_premium_has_words(language: str) -> None:
    """Each step there can be, each coverage of a quote, and what stands under them."""
    shipped = {f"coverage_{coverage}" for plan in load_plans().values() for coverage in plan.coverages}
    assert shipped
    wanted = {*facts._LABELS, *COVERAGES, "policy_fee", "minimum_premium"}
    assert shipped <= wanted
    assert set(_of("line", language)) == wanted


def _causes() -> set[str]:
    """Every word for why a line to the venue ended; of those with a number behind it, what stands before."""
    found = {*_FATAL, *_ON_REQUEST, *(f"{stage}_timeout" for stage in ("connect", "greeting", "auth"))}
    for path in sorted((SOURCE / "feed").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            given = {
                "upstream_error": node.args[:1],
                "UpstreamError": [k.value for k in node.keywords if k.arg == "code"],
            }
            for word in given.get(node.func.id, []):
                if isinstance(word, ast.Constant):
                    found.add(str(word.value))
                elif isinstance(word, ast.JoinedStr) and isinstance(word.values[0], ast.Constant):
                    found.add(str(word.values[0].value))
                else:
                    assert ast.unparse(word) in ("cause", "word", "error.code", "f'{stage}_timeout'"), ast.unparse(word)
    return {re.fullmatch(r"([a-z_]+?)(_\d*)?", word)[1] for word in found}  # type: ignore[index]


@pytest.mark.parametrize("language", TABLES)
def test_every_end_of_a_line_has_words(language: str) -> None:
    """By its cause, which may have a number behind it; that number is all that is named."""
    causes = _causes() | {"protocol"}
    assert {"auth_failed", "close", "http", "mute", "paused", "tls"} <= causes
    assert set(_of("ending", language)) == causes
    for cause, text in _of("ending", language).items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= ({"code"} if cause in ("close", "http") else set()), cause


@pytest.mark.parametrize("language", TABLES)
def test_every_close_code_has_words(language: str) -> None:
    """By its name, which is the close frame's reason."""
    assert set(_of("close", language)) == {each.name for each in CLOSE_CODES.values()}


@pytest.mark.parametrize("language", TABLES)
def test_every_alert_has_words(language: str) -> None:
    """What was found and how it is read, with the places that frontend/src/ui/alert-words.ts fills."""
    named = {"figure", "value", "where", "compare", "threshold", "lasting", "seconds"}
    places: dict[str, set[str]] = dict.fromkeys(get_args(AlertCode), named)
    places |= {read: {"metric", "window"} for read in get_args(Read)}
    places |= {"where": {"count"}, "lasting": {"seconds"}, "divided": {"figure", "over"}}
    table = _of("alert", language)
    assert set(table) == set(places)
    for code, text in table.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= places[code], code


def test_what_is_translated_by_its_english_sentence_is_that_sentence() -> None:
    """Titles of the dashboard that everybody has, and the demo notice: changed in one place they would stay English."""
    english = json.loads((LOCALES / "en.json").read_text())
    titles = {f"dash.tile.{each.id}": each.title for each in OVERVIEW.widgets}
    assert {key: text for key, text in english.items() if key.startswith("dash.tile.")} == titles
    assert english["data.notice.demo"] == NOTICE


def test_there_is_a_language_beside_the_servers_own() -> None:
    """The tables are those of the errors."""
    assert set(TABLES) == {path.stem for path in (LOCALES / "errors").glob("*.json")}


def _of(kind: str, language: str) -> dict[str, str]:
    return {key.removeprefix(f"{kind}."): text for key, text in TABLES[language].items() if key.startswith(f"{kind}.")}
