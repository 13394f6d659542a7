"""Runs commands in-process, through the same entry point, where no second process is needed to see what they do."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import environment
from tests.support.served import settings
from tidewire.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    """A good environment with a database of its own; a test changes what it is about."""
    return settings(tmp_path)


@pytest.fixture
def run(
    values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run ``tidewire WORDS...`` in an empty folder with ``values``; ``given`` is its standard input."""

    def run_once(*words: str, given: str = "") -> Done:
        with monkeypatch.context() as patch:
            for key in set(os.environ) - set(environment()):
                patch.delenv(key)
            for key, value in values.items():
                patch.setenv(key, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["tidewire", *words])
            patch.setattr(sys, "stdin", io.StringIO(given))
            with pytest.raises(SystemExit) as ended:
                main()
        said = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, said.out, said.err)

    return run_once
