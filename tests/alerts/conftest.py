"""One running process per test, judged by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.alerts import Judge
from tests.support.platform import served


@pytest.fixture
async def judge(tmp_path: Path) -> AsyncIterator[Judge]:
    """The judging of a process of its own."""
    async with served(tmp_path) as site:
        yield await Judge(site).take_over()
