"""``check-config``: what would be used, what is wrong, and no secret in either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.served import SECRET

WRONG = [
    ({"USE_MASSIVE_API": "true", "MASSIVE_API_KEY": "k" * 20}, ["both are true"]),
    ({"USE_SYNTHETIC_DATA": "false"}, ["neither is true"]),
    ({"USE_SYNTHETIC_DATA": "false", "USE_MASSIVE_API": "true"}, ["MASSIVE_API_KEY", "required"]),
    ({"TIDEWIRE_PROT": "8000"}, ["TIDEWIRE_PROT=8000", "Did you mean TIDEWIRE_PORT"]),
    ({"WEBSOCKET_CONNECTION_3_ENABLED": "true"}, ["WEBSOCKET_CONNECTION_3_ENABLED", "WEBSOCKET_CONNECTIONS_MAX=2"]),
    ({"WEBSOCKET_CONNECTION_99_NAME": "x"}, ["slots are 1..16"]),
    ({"WEBSOCKET_CONNECTIONS_MAX": "17"}, ["WEBSOCKET_CONNECTIONS_MAX=17"]),
    ({"WEBSOCKET_CONNECTION_1_SYMBOLS": "AAPL,$$$"}, ["$$$", "not a ticker"]),
    ({"WEBSOCKET_CONNECTION_2_SYMBOLS": ""}, ["WEBSOCKET_CONNECTION_2_UNIVERSE_KEY", "missing"]),
    ({"TIDEWIRE_PORT": "http"}, ["TIDEWIRE_PORT=http"]),
    ({"TIDEWIRE_HOST": "0.0.0.0"}, ["unencrypted"]),  # noqa: S104 - refused, that is the point
    ({"TIDEWIRE_ALLOWED_ORIGINS": "*"}, ["not an origin"]),
    ({"TIDEWIRE_REDIS_URL": "http://x"}, ["TIDEWIRE_REDIS_URL", "not a Redis URL"]),
    ({"TIDEWIRE_SECRET_KEY": "short"}, ["TIDEWIRE_SECRET_KEY=<hidden, 5 characters>", "too short"]),
    ({"WEBSOCKET_CONNECTION_1_UNIVERSE_KEY": "no:such", "WEBSOCKET_CONNECTION_1_SYMBOLS": ""}, ["no:such"]),
]


def test_a_good_configuration_is_shown_without_its_secrets_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    """Exit code 0, every key with its value, secrets by their length; no file is made."""
    done = run("check-config")
    assert done.code == 0
    assert "The configuration is good." in done.out
    assert SECRET not in done.out + done.err
    assert f"<hidden, {len(SECRET)} characters>" in done.out
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_document(run: Run, values: dict[str, str]) -> None:
    """``--json`` gives settings and connections to a program."""
    values["WEBSOCKET_CONNECTION_1_UNIVERSE_KEY"] = "no:such"
    done = run("check-config", "--json")
    found = json.loads(done.out)
    assert (done.code, found["ok"]) == (0, True)
    assert found["settings"]["USE_SYNTHETIC_DATA"] == "true"
    first, second = found["connections"]
    assert (first["name"], first["tickers"], second["tickers"]) == ("first", 2, 1)
    assert "no:such" in first["warnings"]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_what_is_wrong_is_named_with_what_to_do(
    run: Run, values: dict[str, str], changes: dict[str, str], told: list[str]
) -> None:
    """Exit code 1; key, value and action on stderr; nothing on stdout."""
    values.update(changes)
    done = run("check-config", "--json")
    assert (done.code, done.out) == (1, "")
    for words in (*told, "to do:", "note:"):
        assert words in done.err
    assert "Traceback" not in done.err


def test_every_problem_is_told_at_once_and_no_secret_with_them(run: Run, values: dict[str, str]) -> None:
    """Three mistakes, three lines; a secret under a wrong key stays hidden."""
    values.update(TIDEWIRE_SECRET="s3cret-in-the-wrong-place", TIDEWIRE_PROT="1", USE_MASSIVE_API="true")
    values["MASSIVE_API_KEY"] = "key-that-must-not-appear"
    done = run("check-config")
    assert done.code == 1
    assert "The configuration has 3 problems" in done.err
    for secret in ("s3cret-in-the-wrong-place", "key-that-must-not-appear", SECRET):
        assert secret not in done.out + done.err


def test_a_dot_env_file_is_read(run: Run, values: dict[str, str], tmp_path: Path) -> None:
    """A wrong key in ``.env`` is as wrong as one in the environment."""
    (tmp_path / ".env").write_text("TIDEWIRE_PROT=8000\n")
    done = run("check-config")
    assert done.code == 1
    assert "TIDEWIRE_PROT=8000" in done.err
