"""The recorded cases that every client's reducer must pass, in Python; the pages' reducer reads the same files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.quote_cases import TARGET, replay, shown, variants


@pytest.mark.parametrize("path", sorted(TARGET.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_page_shows_what_it_must(path: Path) -> None:
    """Played again, with neighbours swapped and with every update twice, the page ends with the same quote."""
    case = json.loads(path.read_text())
    for variant in variants(case):
        assert shown(replay(variant)) == case["shows"]


def test_there_are_cases_of_every_kind() -> None:
    """Together they have states, updates of both kinds, lost connections, and both audiences."""
    tapes = [json.loads(path.read_text()) for path in TARGET.glob("*.json")]
    happened = [entry for case in tapes for entry in case["tape"]]
    kinds = {entry[1]["type"] for entry in happened if entry[0] == "receive"}
    assert {"quote_state", "field_update", "quote_update", "subscribed"} <= kinds
    assert {entry[0] for entry in happened} == {"ask", "lost", "receive"}
    assert {case["shows"]["premium"] == "absent" for case in tapes} == {True, False}
