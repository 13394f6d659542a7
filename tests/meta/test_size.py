"""The house's sizes: what grows beyond them is to be parted (CONTRIBUTING.md, "Size")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.meta.source import ROOT

MODULE_LINES, FUNCTION_LINES = 400, 60


def long_functions(path: Path) -> Iterator[str]:
    """Yield each function of a file that is too long."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "examples", ".ci", "frontend/src"])
def test_no_module_is_too_long(folder: str) -> None:
    """Nobody has to read more than 400 lines to know one thing."""
    paths = [path for end in ("py", "ts") for path in (ROOT / folder).rglob(f"*.{end}")]
    assert paths
    long = [str(path.relative_to(ROOT)) for path in paths if path.read_text().count("\n") > MODULE_LINES]
    assert long == []


def test_no_function_is_too_long() -> None:
    """One thought fits on one screen."""
    paths = list((ROOT / "src").rglob("*.py"))
    assert len(paths) > 200
    assert [found for path in paths for found in long_functions(path)] == []
