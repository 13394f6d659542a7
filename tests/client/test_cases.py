"""The recorded conversations: the Python session repeats them, and they say what the code does now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import client_cases, wire_types
from tests.support.client_driver import Recorder, play
from tidewire.client.session import Session

CASES = sorted(path for path in client_cases.FOLDER.glob("*.json") if path.stem != "close_code_ranges")


@pytest.mark.parametrize("scenario", client_cases.SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Callable[[], Recorder]) -> None:
    """Each scenario's own assertions hold, and its recording is the one that the TypeScript client is held to."""
    built = scenario().case(scenario.__name__, scenario.__doc__ or "")
    kept = json.loads((client_cases.FOLDER / f"{scenario.__name__}.json").read_text())
    assert json.loads(json.dumps(built)) == kept, "run `python -m tests.support.client_cases` and read the diff"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case_is_repeated(path: Path) -> None:
    """Every recorded call has the recorded outcome."""
    case: dict[str, Any] = json.loads(path.read_text())
    session = Session(draw=lambda: case["draw"], with_token=case["with_token"], max_queue=case["max_queue"])
    done: list[dict[str, Any]] = []
    for step in case["steps"]:
        play(session, step["call"], step["args"], step["at"], done)
        assert json.loads(json.dumps(done[-1])) == step


def test_close_codes_are_kept() -> None:
    """What each close code means is what both clients are held to."""
    kept = json.loads((client_cases.FOLDER / "close_code_ranges.json").read_text())
    assert kept == {"ranges": client_cases.ranges()}


@pytest.mark.parametrize("path", wire_types.FILES, ids=lambda path: path.name)
def test_wire_types_are_up_to_date(path: Path) -> None:
    """The TypeScript types are those of the message structs; only the layout may differ."""
    bare = re.compile(r"[\s\",;|()]")
    assert bare.sub("", path.read_text()) == bare.sub("", wire_types.FILES[path]()), (
        "run `python -m tests.support.wire_types` and `npm run format`"
    )
