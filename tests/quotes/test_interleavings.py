"""Any interleaving of edits, calculations, disconnects and resumes ends with one and the same quote everywhere."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.quote_stage import QuoteStage, Tab, check, staged
from tidewire.core.errors import Conflict

TABS = 3
VALUES: dict[str, list[Any]] = {
    "notes": ["a", "b", None],
    "vehicle_year": [2019, 2020, 2021],
    "state": ["CA", "NY"],
    "driver_name": ["Ada", "Bob"],
}
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


class Play:
    """One interleaving."""

    def __init__(self, stage: QuoteStage, quote_id: str) -> None:
        self._stage = stage
        self._quote_id = quote_id
        self.tabs = [Tab.of(stage, quote_id, number + 1) for number in range(TABS)]
        self._rating: list[asyncio.Task[None]] = []
        for number, tab in enumerate(self.tabs):
            tab.connect(number % 2)

    async def step(self, kind: str, which: int, what: Any) -> None:
        """Let one thing happen; only ``settle`` and ``turns`` wait for anything."""
        if kind == "turns":
            for _ in range(which):
                await asyncio.sleep(0)
        elif kind == "rate":
            self._rating.append(asyncio.ensure_future(self._stage.rate(which, self._quote_id)))
        elif kind == "settle":
            await self.tabs[which].settle(what)
        else:
            self._act(self.tabs[which], kind, what)

    def _act(self, tab: Tab, kind: str, what: Any) -> None:
        acts: dict[str, Callable[[], object]] = {
            "edit": lambda: tab.edit(*what),
            "old": lambda: tab.edit(*what, base=0),
            "again": tab.again,
            "cut": tab.disconnect,
            "connect": lambda: tab.connect(what),
            "read": tab.read,
        }
        acts[kind]()

    async def end(self) -> None:
        """Let everybody come to rest, and compare."""
        for result in await asyncio.gather(*self._rating, return_exceptions=True):
            assert result is None or isinstance(result, Conflict), result
        # Twice: what the last one had not sent yet may have come after the first one was done.
        for number, tab in [*enumerate(self.tabs), *enumerate(self.tabs)]:
            await tab.settle(number % 2)
        await check(self._stage, self._quote_id, self.tabs)


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=40))
def test_everything_ends_the_same(template: Path, steps: list[tuple[str, int, Any]]) -> None:
    """Three pages on two nodes, the database and the replayed changes agree; each edit is done once or refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tidewire.db"
        shutil.copy(template, path)
        asyncio.run(play(f"sqlite:///{path}", steps))
