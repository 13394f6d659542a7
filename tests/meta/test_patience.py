"""A test that waits for ever fails and is named, on the loop that the tests run on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.source import ROOT

WAITS = """
import asyncio, threading

async def test_it(anyio_backend):
    await asyncio.Event().wait()

async def test_that(anyio_backend):
    assert threading.Event().wait()

async def test_next(anyio_backend):
    pass
"""


@pytest.mark.parametrize(
    ("chosen", "timeout_s", "told"),
    [("test_it or test_next", 6, "1 failed, 1 passed"), ("test_that or test_next", 1, "Timeout")],
    ids=["loop", "thread"],
)
def test_who_waits_for_ever_is_ended(tmp_path: Path, chosen: str, timeout_s: int, told: str) -> None:
    """On the loop: by TimeoutError, and the next test runs. In a thread's lock: with the process, and named."""
    (tmp_path / "test_waits.py").write_text(WAITS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "-o"]
    ran = subprocess.run(
        [sys.executable, *command, f"timeout={timeout_s}", f"--rootdir={tmp_path}", "-k", chosen, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode != 0
    assert told in ran.stdout + ran.stderr
    assert "await asyncio.Event().wait()" in ran.stdout or "threading.Event().wait()" in ran.stdout + ran.stderr
