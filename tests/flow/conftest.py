"""A real Valkey for the whole session, and a folder with an administrator for each module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.demo import demo
from tests.support.served import add_admin, settings
from tests.support.valkey import valkey_url

__all__ = ["demo", "valkey_url"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the platform's database lies."""
    return tmp_path_factory.mktemp("platform")


@pytest.fixture(scope="module")
def values(folder: Path, valkey_url: str) -> dict[str, str]:
    """The environment of a platform over Valkey whose administrator exists."""
    found = settings(folder, TIDEWIRE_REDIS_URL=valkey_url)
    add_admin(found, folder)
    return found
