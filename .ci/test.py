"""Runs pytest with the arguments given; few that fail beside the others are run once more, alone (decision 23).

A test that fails alone, too, fails the run; so do more than ``FEW``. One that passes then is named as unsteady, at the
very end: it is a fault of the test or of the product under load, to be found by whoever reads it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FEW = 8


def main(arguments: list[str]) -> int:
    """Return pytest's exit code, or 0 if all that failed passed alone."""
    with tempfile.TemporaryDirectory() as cache:
        code = pytest("-o", f"cache_dir={cache}", *arguments)
        found = Path(cache, "v", "cache", "lastfailed")
        failed: list[str] = list(json.loads(found.read_text())) if found.exists() else []
    if code != 1 or not 0 < len(failed) <= FEW:
        return code
    say(f"{len(failed)} failed beside the others, now alone", failed)
    if pytest("-p", "no:cacheprovider", *failed):
        return code
    say("UNSTEADY: failed once, passed alone; no failure of this run, but a fault that somebody must find", failed)
    return 0


def pytest(*arguments: str) -> int:
    """Run it here; return its exit code."""
    return subprocess.call([sys.executable, "-m", "pytest", *arguments])


def say(what: str, tests: list[str]) -> None:
    """Tell it beside pytest's own words."""
    sys.stdout.write("\n".join([f"\n{what}:", *(f"  {test}" for test in tests), ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
