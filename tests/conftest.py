"""Fixtures that every test may use: the event loop, a hand-driven clock, real servers."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run every async test on asyncio with uvloop, as production does."""
    return ("asyncio", {"use_uvloop": True})
