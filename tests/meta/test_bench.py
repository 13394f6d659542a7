"""Every benchmark still fits the code that it measures, as far as names go."""

from __future__ import annotations

import importlib

import pytest

from tests.support.command import ROOT

NAMES = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("__"))


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_can_be_imported(name: str) -> None:
    """A renamed function is found here and not when somebody measures."""
    importlib.import_module(f"bench.{name}")
