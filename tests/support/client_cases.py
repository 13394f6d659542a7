"""Builds tests/client/cases: conversations with every step's outcome, which both clients must repeat exactly.

The scenarios assert what matters while they are played; the recording then binds the TypeScript machine to the same.
``python -m tests.support.client_cases`` renews the files; a test fails while they are out of date.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.support import client_link_scenarios, client_room_scenarios
from tests.support.client_driver import Recorder, Run
from tests.support.client_script import drive
from tests.support.client_talk import ROOMS
from tidewire.core.close_code import reconnect_after

FOLDER = Path(__file__).resolve().parents[1] / "client" / "cases"
NAMES = list(ROOMS)
HEAVY = ("publish", "go", "down", "up", "cut", "gap", "restart", "pause", "resume", "again", "repeat", "lose", "trim")
SCENARIOS = (*client_room_scenarios.SCENARIOS, *client_link_scenarios.SCENARIOS)


def random_run(seed: int) -> Recorder:
    """A run of arbitrary steps."""
    chance = random.Random(seed)
    run = Run(dict(ROOMS), batch=seed % 2 == 0, with_token=seed % 3 == 0)
    run.do("start")
    for name in NAMES:
        run.do("subscribe", name, None, seed % 4 == 0)
    run.settle()
    script: list[tuple[str, Any]] = []
    for _ in range(40):
        kind = chance.choice([*HEAVY, "publish", "publish", "go", "go", "request", "wait", "conflate"])
        value: Any = chance.randint(1, 6)
        if kind in ("publish", "gap", "pause", "resume", "again", "repeat", "trim"):
            value = chance.choice(NAMES)
        elif kind == "conflate":
            value = "market:X"
        elif kind == "cut":
            value = chance.choice([1006, 4000, 4003, 4006, 4100])
        elif kind == "wait":
            value = chance.choice([10, 700, 31_000])
        script.append((kind, value))
    drive(run, script)
    return run.recorder


def ranges() -> list[dict[str, Any]]:
    """What each close code from 1000 to 4999 means, as runs of equal words."""
    runs: list[dict[str, Any]] = []
    for code in range(1000, 5000):
        word = reconnect_after(code).value
        if runs and runs[-1]["reconnect"] == word:
            runs[-1]["to"] = code
        else:
            runs.append({"from": code, "to": code, "reconnect": word})
    return runs


def build() -> dict[str, Any]:
    """Return file name -> content."""
    files: dict[str, Any] = {
        f"{scenario.__name__}.json": scenario().case(scenario.__name__, scenario.__doc__ or "")
        for scenario in SCENARIOS
    }
    for seed in range(12):
        files[f"random_{seed:02}.json"] = random_run(seed).case(f"random {seed}", "Arbitrary steps.")
    files["close_code_ranges.json"] = {"ranges": ranges()}
    return files


def text(content: Any) -> str:
    """Return a case as it is kept: one step a line, to be read in a diff."""
    if "steps" not in content:
        return json.dumps(content, indent=1) + "\n"
    head = {name: value for name, value in content.items() if name != "steps"}
    lines = ",\n".join(" " + json.dumps(step, separators=(",", ":"), ensure_ascii=False) for step in content["steps"])
    return json.dumps(head, ensure_ascii=False)[:-1] + ',"steps":[\n' + lines + "\n]}\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, content in build().items():
        (FOLDER / name).write_text(text(content))
