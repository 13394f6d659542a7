"""Migrations: models and steps agree, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tidewire.core.errors import SettingsError, StoreError
from tidewire.store import migrate
from tidewire.store.database import Database
from tidewire.store.models import Base


async def test_models_and_migrations_agree(empty_url: str) -> None:
    """After all steps, Alembic finds nothing left to change."""
    assert await migrate.upgrade(empty_url) == migrate.newest_revision()
    assert await migrate.differences(empty_url) == []


async def test_the_comparison_finds_a_missing_table(empty_url: str) -> None:
    """Without any step the comparison names every table, so the test above can fail."""
    added = {change[1].name for change in await migrate.differences(empty_url) if change[0] == "add_table"}
    assert added == set(Base.metadata.tables)


async def test_every_step_can_be_taken_back(empty_url: str) -> None:
    """Down to nothing and up again ends at the same schema."""
    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "base")
    assert await migrate.present_revision(empty_url) is None
    await migrate.upgrade(empty_url)
    assert await migrate.differences(empty_url) == []


async def test_upgrading_together_migrates_once(empty_url: str) -> None:
    """Four processes that start together all end at the newest revision."""
    newest = migrate.newest_revision()
    assert await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4))) == [newest] * 4


async def test_check_names_the_command(empty_url: str) -> None:
    """An unmigrated database is refused with the command that helps; a migrated one passes."""
    with pytest.raises(StoreError) as refused:
        await migrate.check(empty_url)
    assert refused.value.code == "schema_outdated"
    assert "tidewire migrate" in refused.value.required_action
    await migrate.upgrade(empty_url)
    await migrate.check(empty_url)


async def test_a_database_from_the_future_is_refused(empty_url: str) -> None:
    """A revision that this code does not know is not touched."""
    await migrate.upgrade(empty_url)
    database = Database(empty_url)
    async with database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.stop()
    with pytest.raises(StoreError) as refused:
        await migrate.upgrade(empty_url)
    assert refused.value.code == "schema_unknown"


async def test_a_failing_step_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last statement of a step fails, no table of it remains."""
    from alembic import op

    def fail(*_: object) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(op, "create_index", fail)
    with pytest.raises(StoreError):
        await migrate.upgrade(empty_url)
    monkeypatch.undo()
    assert await migrate.present_revision(empty_url) is None
    assert {change[0] for change in await migrate.differences(empty_url)} == {"add_table", "add_index"}


def test_steps_are_one_line() -> None:
    """There is exactly one newest step."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://u:hunter22@h/d",
        "rubbish",
        "",
    ],
)
def test_unusable_urls_end_the_start(url: str) -> None:
    """Unknown and forgetful databases are refused, and a password in the URL is not repeated."""
    with pytest.raises(SettingsError) as refused:
        Database(url)
    assert "hunter22" not in str(refused.value.describe())


async def test_a_missing_file_is_made_for_its_owner(tmp_path: Path) -> None:
    """The default database lies in a folder that may not exist yet; nobody else on the machine can read it."""
    url = f"sqlite:///{tmp_path}/deep/down/tidewire.db"
    await migrate.upgrade(url)
    await migrate.check(url)
    database = Database(url)
    async with database.write() as session:
        await session.execute(text("DELETE FROM users"))
        files = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "down").iterdir()}
    await database.stop()
    assert files.pop("tidewire.db") == 0o600
    assert set(files.values()) == {0o600}
