"""Every command as its user types it: what it prints, its exit code, and what it refuses."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.command import Service, children_of, environment, is_running, run_command
from tidewire.cli import app

SECRET = "canary-0123456789abcdef0123456789abcdef"
GOOD = {
    "USE_SYNTHETIC_DATA": "true",
    "TIDEWIRE_SECRET_KEY": SECRET,
    "WEBSOCKET_CONNECTION_1_ENABLED": "true",
    "WEBSOCKET_CONNECTION_1_SYMBOLS": "AAPL,MSFT",
    "TIDEWIRE_PORT": "0",
}
COMMANDS = ("serve", "feed", "demo", "simulate", "migrate", "check-config", "user add", "user passwd", "user list")


@pytest.mark.parametrize("command", ["", *COMMANDS, "universe import", "universe list"])
def test_every_command_explains_itself(command: str) -> None:
    """--help works everywhere, without any configuration."""
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.stdout


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    """An unknown command and a missing option are the shell's kind of error."""
    assert run_command("nonsense", cwd=tmp_path).returncode == 2
    assert run_command("universe", "import", "x.csv", cwd=tmp_path).returncode == 2


def test_check_config_prints_what_would_be_used_and_hides_secrets(tmp_path: Path) -> None:
    """A good configuration is exit code 0; nothing is created."""
    done = run_command("check-config", "--json", values=GOOD, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    assert found["connections"][0]["tickers"] == 2
    assert SECRET not in done.stdout + done.stderr
    assert "The configuration is good." in run_command("check-config", values=GOOD, cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_check_config_names_every_problem(tmp_path: Path) -> None:
    """A bad configuration is exit code 1 with each key, the nearest known one and what to do; secrets stay hidden."""
    bad = {**GOOD, "TIDEWIRE_PROT": "1", "USE_MASSIVE_API": "true", "TIDEWIRE_SECRET_KEYS": SECRET}
    done = run_command("check-config", values=bad, cwd=tmp_path)
    assert done.returncode == 1
    for words in (
        "TIDEWIRE_PROT",
        "Did you mean TIDEWIRE_PORT?",
        "both are true",
        "MASSIVE_API_KEY",
        "to do:",
        "note:",
    ):
        assert words in done.stderr
    assert SECRET not in done.stdout + done.stderr
    unknown = {**GOOD, "WEBSOCKET_CONNECTION_1_SYMBOLS": "", "WEBSOCKET_CONNECTION_1_UNIVERSE_KEY": "no:such"}
    done = run_command("check-config", values=unknown, cwd=tmp_path)
    assert done.returncode == 1
    assert "WEBSOCKET_CONNECTION_1_UNIVERSE_KEY=no:such" in done.stderr


def test_universe_import_takes_all_or_nothing(tmp_path: Path) -> None:
    """CSV and JSON come in whole; a file with bad rows is refused with their numbers and changes nothing."""

    def run(*arguments: str) -> tuple[int, str, str]:
        done = run_command("universe", *arguments, values=GOOD, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "good.csv").write_text("symbol,name\nAAPL,Apple\nbrk.b,Berkshire\n")
    (tmp_path / "good.json").write_text('[{"symbol": "IBM"}, "MSFT", "GOOG"]')
    (tmp_path / "bad.csv").write_text("symbol\nAAPL\n$$$\nMSFT\nAAPL\n")
    (tmp_path / "empty.csv").write_text("symbol\n")
    code, out, _ = run("import", "good.csv", "--key", "market_leaders:two", "--json")
    assert (code, json.loads(out)["total"]) == (0, 2)
    code, _, err = run("import", "bad.csv", "--key", "market_leaders:two")
    assert code == 1
    assert "3" in err
    assert "5" in err
    for file, key in (("empty.csv", "a:b"), ("absent.csv", "a:b"), ("good.csv", "no key"), ("good.csv", "nopart")):
        code, _, err = run("import", file, "--key", key)
        assert code == 1, (file, key)
        assert "to do:" in err
    assert run("import", "good.json", "--key", "technology:three")[0] == 0
    code, out, _ = run("list", "--json")
    assert [(row["key"], row["tickers"]) for row in json.loads(out)] == [
        ("market_leaders:two", 2),
        ("technology:three", 3),
    ]
    with_universe = {**GOOD, "WEBSOCKET_CONNECTION_1_UNIVERSE_KEY": "market_leaders:two"}
    checked = run_command("check-config", "--json", values=with_universe, cwd=tmp_path)
    assert json.loads(checked.stdout)["connections"][0]["universe"] == "market_leaders:two"


def test_users_are_added_and_given_passwords(tmp_path: Path) -> None:
    """The password comes from standard input; weak ones, duplicates and unknown users are refused."""

    def run(*arguments: str, given: str = "") -> tuple[int, str, str]:
        done = run_command("user", *arguments, values=GOOD, cwd=tmp_path, given=given)
        return done.returncode, done.stdout, done.stderr

    good = "correct horse battery\n"
    assert run("add", "ann", "--role", "admin", "--password-stdin", given=good)[0] == 0
    assert run("add", "ANN", "--password-stdin", given=good)[0] == 1
    assert run("add", "bob", "--password-stdin", given="short\n")[0] == 1
    assert run("add", "bob", "--role", "emperor", "--password-stdin", given=good)[0] == 1
    assert run("passwd", "nobody", "--password-stdin", given=good)[0] == 1
    assert run("passwd", "ann", "--password-stdin", given="another horse battery\n")[0] == 0
    code, _, err = run("add", "carl", given=good)
    assert code == 1
    assert "--password-stdin" in err
    code, out, err = run("list", "--json")
    assert json.loads(out) == [{"username": "ann", "role": "admin", "disabled": False}]
    assert "horse" not in out + err


def test_migrate_is_repeatable(tmp_path: Path) -> None:
    """It says the revision, and a second run changes nothing."""
    first = run_command("migrate", "--json", values=GOOD, cwd=tmp_path)
    second = run_command("migrate", "--json", values=GOOD, cwd=tmp_path)
    assert first.returncode == second.returncode == 0
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_what_needs_redis_says_so(tmp_path: Path) -> None:
    """Several workers and a feed of its own refuse to start without a bus between processes."""
    for arguments in (("serve", "--workers", "2"), ("feed",)):
        done = run_command(*arguments, values=GOOD, cwd=tmp_path)
        assert done.returncode == 1
        assert "TIDEWIRE_REDIS_URL" in done.stderr


def test_a_taken_port_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """serve and demo end with a sentence; the demo's simulator ends with it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = run_command("serve", values={**GOOD, "TIDEWIRE_PORT": port}, cwd=tmp_path)
        assert done.returncode == 1
        assert f"port {port}" in done.stderr
        with Service("demo", "--port", port, cwd=tmp_path) as demo:
            assert demo.wait() == 1
            assert any(f"port {port}" in line for line in demo.err)
            assert children_of(demo.pid) == []


def test_the_demo_ends_with_its_simulator(tmp_path: Path) -> None:
    """SIGTERM is exit code 0, and the simulator that it started is gone."""
    with Service("demo", "--port", "0", "--json", cwd=tmp_path) as demo:
        facts = demo.announcement()
        assert set(facts["users"]) == {"admin", "viewer"}
        (simulator,) = children_of(demo.pid)
        assert demo.stop() == 0
        assert not is_running(simulator)


def test_serve_ends_cleanly_and_logs_no_secret(tmp_path: Path) -> None:
    """SIGTERM is exit code 0; at debug level no log line holds the secret key."""
    with Service("serve", values={**GOOD, "TIDEWIRE_LOG_LEVEL": "debug"}, cwd=tmp_path) as service:
        assert service.logged("serving")["url"].startswith("http://127.0.0.1:")
        assert service.stop() == 0
        assert not [line for line in [*service.out, *service.err] if SECRET in line]


def test_the_environment_of_a_test_is_clean() -> None:
    """No developer's key reaches a command under test."""
    assert not [key for key in environment() if key.startswith("TIDEWIRE_")]
