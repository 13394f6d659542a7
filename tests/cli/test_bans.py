"""``tidewire ban``: the bans in force are listed, and lifted beside running nodes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.accounts import SECRET
from tidewire.app.database import opened_database
from tidewire.cli import app
from tidewire.core.errors import Conflict, NotFound
from tidewire.store.activity import ActivityLog
from tidewire.store.ban_records import NewBan
from tidewire.store.bans import Bans


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings of a database in which one network is banned."""
    url = f"sqlite:///{tmp_path}/tidewire.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USE_SYNTHETIC_DATA", "true")
    monkeypatch.setenv("WEBSOCKET_CONNECTION_1_ENABLED", "true")
    monkeypatch.setenv("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL")
    monkeypatch.setenv("TIDEWIRE_DATABASE_URL", url)
    monkeypatch.setenv("TIDEWIRE_SECRET_KEY", SECRET)

    async def add() -> None:
        async with opened_database(url) as opened:
            new = [NewBan(network="10.0.0.0/8")]
            await Bans(opened).add(new, [], reason="everybody", by="ada", now=1.0, expires_at=None)

    asyncio.run(add())
    return url


def tidewire(*words: str) -> Result:
    """Run a command line."""
    return CliRunner().invoke(app, ["ban", *words])


def test_a_ban_is_listed_and_lifted_with_a_line_in_the_log(url: str) -> None:
    """Once; a second time and an unknown number are refused with what to do."""
    (row,) = json.loads(tidewire("list", "--json").stdout)
    assert (row["who"], row["until"], row["by"], row["reason"]) == ("10.0.0.0/8", "lifted", "ada", "everybody")
    assert json.loads(tidewire("lift", row["id"], "--json").stdout)["lifted"]
    assert "Nobody is banned." in tidewire("list").output
    assert isinstance(tidewire("lift", row["id"]).exception, Conflict)
    assert isinstance(tidewire("lift", "99").exception, NotFound)

    async def told() -> list[tuple[str, str]]:
        async with opened_database(url) as opened:
            return [(row.entry.actor, row.entry.target) for row in await ActivityLog(opened).recent(action="ban.lift")]

    assert asyncio.run(told()) == [("cli", "10.0.0.0/8")]
