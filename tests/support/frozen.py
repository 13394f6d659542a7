"""Stops a server process that shares a SQLite file with others, without stopping them. It knows no test."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

# So often it would have to be stopped within a write, one after the other.
TRIES = 200


@contextmanager
def frozen(pid: int, database: Path) -> Iterator[None]:
    """Keep a child stopped (SIGSTOP) until the block ends, from a moment at which it does not write.

    SQLite has one writer at a time: one that is stopped within its write stops everybody else's, too.
    """
    _stop(pid, database)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stop(pid: int, database: Path) -> None:
    for _ in range(TRIES):
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        with closing(sqlite3.connect(database, timeout=1.0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
            else:
                connection.execute("ROLLBACK")
                return
    raise AssertionError(f"process {pid} wrote every time it was stopped")
