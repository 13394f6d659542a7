"""Accounts on a real SQLite file, with a clock moved by hand and a hasher that costs almost nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tidewire.accounts.service import Accounts
from tidewire.store import migrate
from tidewire.store.database import Database


@pytest.fixture
def clock() -> HandClock:
    """Time that only tests move."""
    return HandClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated SQLite file."""
    url = f"sqlite:///{tmp_path}/tidewire.db"
    await migrate.upgrade(url)
    database = Database(url)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def accounts(database: Database, clock: HandClock) -> Accounts:
    """Accounts with one admin, ``ada``."""
    accounts = Accounts(database, secret_key=SECRET, clock=clock, passwords=cheap_passwords())
    await accounts.create_user("ada", "four unrelated words", "admin")
    return accounts
