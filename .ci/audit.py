"""Asks the advisory databases about every pinned package, and says plainly when it could not.

pip-audit ends with 0 and "No known vulnerabilities found" when it could not look up a single package; so its verdict is
not used, only its list. Three states: CLEAN (exit 0), VULNERABLE (1), NOT AUDITED (2). Anything but 0 stops a release.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from locks import ROOT, Package, npm_packages, python_packages

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2
WORDS = {CLEAN: "CLEAN", VULNERABLE: "VULNERABLE", NOT_AUDITED: "NOT AUDITED"}
DEADLINE_S = 600
Verdict = tuple[int, list[str]]


def judge_pypi(answer: str, pinned: Sequence[Package]) -> Verdict:
    """Return the state and the reasons, given pip-audit's JSON and what is pinned."""
    document = _parse(answer)
    if document is None or not isinstance(document.get("dependencies"), list):
        return NOT_AUDITED, ["pip-audit gave no answer"]
    told = {entry["name"]: entry for entry in document["dependencies"]}
    bad = [f"{name} {e['version']}: {v['id']}" for name, e in told.items() for v in e.get("vulns", ())]
    if bad:
        return VULNERABLE, bad
    # A package for another platform is not asked about on this one.
    unknown = [
        p.name for p in pinned if "vulns" not in told.get(p.name, {}) and not (p.conditional and p.name not in told)
    ]
    if unknown or not pinned:
        return NOT_AUDITED, [
            f"{len(unknown)} of {len(pinned)} packages could not be looked up: {', '.join(unknown[:5])}"
        ]
    return CLEAN, []


def judge_npm(answer: str, pinned: Sequence[Package]) -> Verdict:
    """Return the state and the reasons, given npm's JSON and what is pinned."""
    document = _parse(answer)
    if document is None or "error" in document or not isinstance(document.get("vulnerabilities"), dict):
        return NOT_AUDITED, ["npm could not ask its advisory database"]
    bad = [f"{name}: {entry.get('severity', 'unknown')}" for name, entry in document["vulnerabilities"].items()]
    if bad:
        return VULNERABLE, bad
    asked = document.get("metadata", {}).get("dependencies", {}).get("total", 0)
    if not pinned or asked < len({p.name for p in pinned if not p.conditional}):
        return NOT_AUDITED, [f"npm asked about {asked} of {len(pinned)} packages"]
    return CLEAN, []


def _parse(answer: str) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def main(pip_audit: str) -> int:
    """Print the states; return the exit code."""
    python, npm = python_packages(), npm_packages()
    options = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
    verdicts = {
        "PyPI": judge_pypi(_ask(pip_audit, *options, "--requirement", "constraints.txt"), python),
        "npm": judge_npm(_ask(sys.executable, "hatch_build.py", "audit", "--json"), npm),
    }
    for name, (state, reasons) in verdicts.items():
        sys.stdout.write("\n  ".join([f"{name}: {WORDS[state]}", *reasons]) + "\n")
    states = [state for state, _ in verdicts.values()]
    # A known flaw is worse than an unanswered question.
    return VULNERABLE if VULNERABLE in states else max(states)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
