"""``tidewire token``: a key is shown once, listed without its secret, and revoked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.accounts import SECRET, cheap_passwords
from tidewire.accounts.service import Accounts
from tidewire.app.database import opened_database
from tidewire.cli import app
from tidewire.core.errors import InvalidRequest, NotFound


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a database in which ``ada`` is an admin."""
    url = f"sqlite:///{tmp_path}/tidewire.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USE_SYNTHETIC_DATA", "true")
    monkeypatch.setenv("WEBSOCKET_CONNECTION_1_ENABLED", "true")
    monkeypatch.setenv("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL")
    monkeypatch.setenv("TIDEWIRE_DATABASE_URL", url)
    monkeypatch.setenv("TIDEWIRE_SECRET_KEY", SECRET)

    async def add() -> None:
        async with opened_database(url) as opened:
            await Accounts(opened, secret_key=SECRET, passwords=cheap_passwords()).create_user(
                "ada", "four unrelated words", "admin"
            )

    asyncio.run(add())


def tidewire(*words: str) -> Result:
    """Run a command line."""
    return CliRunner().invoke(app, ["token", *words])


def test_a_key_is_made_listed_and_revoked() -> None:
    """The key is in the answer to create and nowhere else."""
    made = json.loads(tidewire("create", "ada", "--name", "robot", "--permission", "rooms:publish", "--json").stdout)
    assert made["key"].startswith("twk_")
    listed = tidewire("list", "--json").stdout
    # Its end is secret, and may hold an underscore itself.
    assert made["key"][-24:] not in listed
    (row,) = json.loads(listed)
    assert (row["id"], row["user"], row["permissions"], row["state"]) == (made["id"], "ada", "rooms:publish", "valid")
    assert json.loads(tidewire("revoke", made["id"], "--json").stdout) == {"id": made["id"], "revoked": True}
    assert json.loads(tidewire("revoke", made["id"], "--json").stdout)["revoked"] is False
    assert json.loads(tidewire("list", "--json").stdout)[0]["state"] == "revoked"


def test_the_key_alone_is_on_stdout() -> None:
    """So that it can be piped into a secret store; what is said to people goes to stderr."""
    done = tidewire("create", "ada", "--name", "robot")
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("twk_")
    assert "only time" in done.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("create", "nobody", "--name", "robot"), NotFound),
        (("create", "ada", "--name", ""), InvalidRequest),
        (("create", "ada", "--name", "robot", "--permission", "all"), InvalidRequest),
        (("revoke", "nothing"), NotFound),
    ],
)
def test_wrong_commands_are_refused(words: tuple[str, ...], error: type[Exception]) -> None:
    """Each says what is wrong; nothing is made."""
    assert isinstance(tidewire(*words).exception, error)
    assert json.loads(tidewire("list", "--json").stdout) == []


def test_a_wrong_use_is_exit_code_two() -> None:
    """A missing name or an absurd life is wrong usage."""
    assert tidewire("create", "ada").exit_code == 2
    assert tidewire("create", "ada", "--name", "x", "--days", "0").exit_code == 2
