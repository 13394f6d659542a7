"""The contract suite of the store: every test that takes ``database`` runs on SQLite and on Postgres."""

from __future__ import annotations

import pytest

from tidewire.store.database import Database


@pytest.fixture
def database(both: Database) -> Database:
    """A started, migrated database."""
    return both
