"""Commands that run until they are told to end: how they start, refuse and stop."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.command import Service, environment, is_running, run_command
from tests.support.scripted_broker import ScriptedBroker
from tests.support.served import SECRET


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody else holds."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield str(holder.getsockname()[1])


def test_migrate_makes_the_tables_once(run: Run) -> None:
    """The first run brings the newest revision, the second changes nothing."""
    first, second = run("migrate", "--json"), run("migrate")
    assert first.code == second.code == 0
    assert json.loads(first.out)["revision"] in second.out


def test_workers_without_a_bus_between_them_are_refused(run: Run) -> None:
    """``--workers 2`` needs Redis and says so; so does a feed on its own."""
    for words in (("serve", "--workers", "2"), ("feed",)):
        done = run(*words)
        assert (done.code, done.out) == (1, "")
        assert "TIDEWIRE_REDIS_URL" in done.err
        assert "note:" in done.err


def test_serve_on_a_taken_port_says_so(values: dict[str, str], tmp_path: Path, taken: str) -> None:
    """Three sentences instead of a traceback, exit code 1."""
    done = run_command("serve", values={**values, "TIDEWIRE_PORT": taken}, cwd=tmp_path)
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1 port {taken}" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_with_a_redis_that_is_down_says_so(values: dict[str, str], tmp_path: Path, taken: str) -> None:
    """It does not fall back to the in-process bus; the password of the URL is not shown."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://user:hush-hush@127.0.0.1:{probe.getsockname()[1]}/0"
    done = run_command("serve", values={**values, "TIDEWIRE_REDIS_URL": url}, cwd=tmp_path)
    assert done.returncode == 1
    assert "to do:" in done.stderr
    assert "does not fall back" in done.stderr
    assert "hush-hush" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


async def test_serve_with_a_redis_that_is_too_old_says_so(values: dict[str, str], tmp_path: Path) -> None:
    """What it is, what to use instead, exit code 1; no room is kept where scripts behave otherwise."""
    facts = b"redis_version:6.2.14\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"
    async with ScriptedBroker() as broker:
        # Nobody holds the lease.
        broker.answers[b"eval"] = b"*4\r\n:0\r\n$1\r\n0\r\n$0\r\n\r\n:0\r\n"
        broker.answers[b"info"] = b"$%d\r\n%b\r\n" % (len(facts), facts)
        there = {**values, "TIDEWIRE_REDIS_URL": broker.url}
        done = await asyncio.to_thread(run_command, "serve", "--no-feed", values=there, cwd=tmp_path)
    assert done.returncode == 1
    assert "too old (Redis 6.2.14)" in done.stderr
    assert "to do: Use Redis 7 or Valkey 8" in done.stderr
    assert "does not start" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_on_a_taken_port_leaves_no_simulator_behind(tmp_path: Path, taken: str) -> None:
    """The simulator that it had started is ended before the demo says why it cannot run."""
    with Service("demo", "--port", taken, "--data", str(tmp_path / "data"), cwd=tmp_path) as demo:
        simulator = demo.first_child()
        assert demo.wait() == 1
    assert any(f"Cannot listen on 127.0.0.1 port {taken}" in line for line in demo.err)
    assert not any("Traceback" in line for line in demo.err)
    assert not is_running(simulator)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_demo_and_its_simulator(tmp_path: Path, signum: int) -> None:
    """Exit code 0 and nobody left, also when the signal comes in the moment of the announcement."""
    with Service("demo", "--json", "--port", "0", "--data", str(tmp_path / "data"), cwd=tmp_path) as demo:
        demo.announcement()
        simulator = demo.first_child()
        assert demo.stop(signum) == 0
    assert not is_running(simulator)


def test_a_signal_during_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM as soon as the simulator is there and the demo is not: exit code 0, the simulator is gone."""
    with Service("demo", "--json", "--port", "0", "--data", str(tmp_path / "data"), cwd=tmp_path) as demo:
        simulator = demo.first_child()
        assert demo.stop() == 0
    assert demo.out == []
    assert not is_running(simulator)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_serve(values: dict[str, str], tmp_path: Path, signum: int) -> None:
    """Exit code 0, the port is free again, and no secret was logged."""
    with Service("serve", values={**values, "TIDEWIRE_LOG_LEVEL": "debug"}, cwd=tmp_path) as service:
        port = int(str(service.logged("serving")["url"]).rsplit(":", 1)[1])
        assert service.stop(signum) == 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    assert SECRET not in "".join(service.out + service.err)
    assert not any(line.get("level") in ("warning", "error", "critical") for line in service.log())


def test_the_environment_of_a_test_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No developer's key reaches a command under test."""
    monkeypatch.setenv("TIDEWIRE_PORT", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert [key for key in environment() if key.startswith("TIDEWIRE_") or "proxy" in key.lower()] == []
