"""What `make test` does with tests that fail: few once more, alone; what then passes is named (decision 23)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.source import ROOT

TESTS = """
import pathlib

def test_passes():
    pass

def test_once():
    seen = pathlib.Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError("the first time")

def test_always():
    raise AssertionError("every time")

import pytest

@pytest.mark.parametrize("number", range(9))
def test_many(number):
    raise AssertionError("more than a few")
"""


@pytest.mark.parametrize(
    ("chosen", "code", "tries", "unsteady"),
    [
        ("passes", 0, 1, ""),
        ("passes or once", 0, 2, "test_tries.py::test_once"),
        ("once or always", 1, 2, ""),
        ("many", 1, 1, ""),
        ("nothing", 5, 1, ""),
    ],
)
def test_what_failed_is_tried_once_more(tmp_path: Path, chosen: str, code: int, tries: int, unsteady: str) -> None:
    """Its exit code is pytest's, but 0 if all that failed passed alone: then, and only then, they are named."""
    (tmp_path / "test_tries.py").write_text(TESTS)
    (tmp_path / "pytest.ini").touch()
    ran = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "test.py"), "-k", chosen, "test_tries.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stdout
    assert ran.stdout.count("test session starts") == tries
    assert ran.stdout.partition("UNSTEADY")[2].split()[-1:] == ([unsteady] if unsteady else [])
