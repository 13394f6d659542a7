"""Runs the command ``tidewire`` as its user does: as a process of its own, with an environment of its own.

It must not know what a command does. Nothing of the developer's environment or ``.env`` reaches the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
# A start takes 2 s on an idle machine; this one may be shared by several suites.
START_S = 90.0
STOP_S = 20.0
_OURS = ("TIDEWIRE_", "WEBSOCKET_", "USE_", "MASSIVE_", "COVERAGE_")


def environment(values: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without Tidewire's keys and without a proxy, and with ``values``."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS) and "proxy" not in k.lower()}
    paths = [str(ROOT / "src"), str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200", **(values or {})}


def run_command(
    *arguments: str, values: Mapping[str, str] | None = None, cwd: Path, given: str = "", timeout_s: float = START_S
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with ``given`` on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "tidewire", *arguments],
        env=environment(values), cwd=cwd, input=given, text=True, capture_output=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def children_of(pid: int) -> list[int]:
    """Return the ids of the processes that ``pid`` has started and that live."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        # The thread, or the whole process, may end between the two steps.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, thread.read_text().split())
    return found


def is_running(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    """Return when a process, not necessarily a child of ours, has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], START_S)[0], f"process {pid} still runs"
    finally:
        os.close(handle)


class Service:
    """A command that runs until it is told to end.

    Args:
        arguments: What follows ``tidewire``.
        values: Environment keys.
        cwd: Where it runs; a folder without a ``.env``.
        module: What is run; the command itself unless said otherwise.
    """

    def __init__(
        self, *arguments: str, values: Mapping[str, str] | None = None, cwd: Path, module: str = "tidewire"
    ) -> None:
        self._told = threading.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        self._open_streams = 2
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment(values), cwd=cwd, text=True, bufsize=1,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def announcement(self) -> dict[str, Any]:
        """Return the first line of standard output, which must be JSON."""
        found: dict[str, Any] = json.loads(self.said(0))
        return found

    def said(self, number: int) -> str:
        """Return a line of standard output, waiting for it; the first is number 0."""
        line: str = self._until(lambda: self.out[number] if len(self.out) > number else None)
        return line

    def first_child(self) -> int:
        """Return the id of the first process that it starts, waiting for it."""
        deadline = time.monotonic() + START_S
        while not (found := children_of(self.pid)):
            assert time.monotonic() < deadline, "it started no process"
            # No event says that somebody else has forked; the wait also ends with the process itself.
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"it ended with {self.process.wait(0.01)} before it started a process")
        return found[0]

    def logged(self, event: str) -> dict[str, Any]:
        """Return the first log line with ``event``, waiting for it."""
        return self._until(lambda: next((line for line in self.log() if line.get("event") == event), None))

    def told(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first log line for which ``holds`` is true, waiting for it."""
        return self._until(lambda: next((line for line in self.log() if holds(line)), None))

    def log(self) -> list[dict[str, Any]]:
        """Return every JSON line of standard error so far."""
        return [json.loads(line) for line in list(self.err) if line.startswith("{")]

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to end and return its exit code. Raises subprocess.TimeoutExpired if it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code once it has ended and all it said is read."""
        code = self.process.wait(STOP_S)
        self._close()
        return code

    def kill(self) -> None:
        """End it at once (SIGKILL) and reap it. Idempotent."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        """End it gently if it still runs, so that it ends its own children; at once if it will not."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._told:
                lines.append(line.rstrip("\n"))
                self._told.notify_all()
        with self._told:
            self._open_streams -= 1
            self._told.notify_all()

    def _until(self, find: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + START_S
        with self._told:
            while (found := find()) is None:
                left = deadline - time.monotonic()
                if self._open_streams == 0 or not self._told.wait(left):
                    raise AssertionError(f"it did not say so; {_tail(self.out)} {_tail(self.err)}")
        return found

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(STOP_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _tail(lines: Sequence[str]) -> str:
    return " | ".join(lines[-10:])
