"""Accounts on SQLite and on Postgres, with a clock moved by hand and a hasher that costs almost nothing."""

from __future__ import annotations

import pytest

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tidewire.accounts.service import Accounts
from tidewire.store.database import Database


@pytest.fixture
def clock() -> HandClock:
    """Time that only tests move."""
    return HandClock()


@pytest.fixture
def database(both: Database) -> Database:
    """A migrated database, once per kind."""
    return both


@pytest.fixture
async def accounts(database: Database, clock: HandClock) -> Accounts:
    """Accounts with one admin, ``ada``."""
    accounts = Accounts(database, secret_key=SECRET, clock=clock, passwords=cheap_passwords())
    await accounts.create_user("ada", "four unrelated words", "admin")
    return accounts
