"""Every benchmark still fits the code that it measures, as far as names go."""

from __future__ import annotations

import importlib
import pkgutil

import bench
import pytest


@pytest.mark.parametrize("name", sorted(module.name for module in pkgutil.iter_modules(bench.__path__)))
def test_each_benchmark_can_be_imported(name: str) -> None:
    """A renamed function is found here and not when somebody measures."""
    if not name.startswith("__"):
        importlib.import_module(f"bench.{name}")
