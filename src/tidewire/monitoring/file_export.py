"""A list as a file: CSV or lines of JSON, made a part at a time, and a last line that says so if it is not whole.

A spreadsheet takes a cell that begins with =, +, -, @, tab or return for a formula; such texts get an apostrophe. It
must not know HTTP, who asks, or what is listed. Source: OWASP, "CSV Injection"; RFC 4180; dashboard.md M11.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, Protocol, TypeVar

import msgspec
import structlog

from tidewire.core.background import background
from tidewire.core.errors import StoreError, TidewireError

log = structlog.get_logger("tidewire.monitoring")

Form = Literal["csv", "ndjson"]
RECHECK_EVERY_S = 2.0
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_Row = TypeVar("_Row", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class FileRules:
    """What whoever runs the server allows of files.

    Attributes:
        allowed: Lists may be taken away as files at all.
        masked: In every file addresses lose their last part.
    """

    allowed: bool = True
    masked: bool = False


class Note(Protocol):
    """Writes a line of the audit log on this export. Raises a TidewireError if it cannot."""

    async def __call__(self, outcome: str, **more: object) -> None:
        """Write it."""
        ...


@dataclass(frozen=True, slots=True)
class Sheet(Generic[_Row]):
    """What is exported.

    Attributes:
        columns: The head of a CSV file.
        cells: Returns a row's cells, one for each column, harmless already.
        parts: Returns the rows, a part at a time. What it raises of a StoreError ends the file with a word.
        lost: What is said to somebody who may see the list no more.
        action: The name of the export in logs.
    """

    columns: tuple[str, ...]
    cells: Callable[[_Row], tuple[str, ...]]
    parts: Callable[[], AsyncGenerator[Sequence[_Row], None]]
    lost: str
    action: str


class FileExport(Generic[_Row]):
    """One export.

    Args:
        missing: Why the file lacks something, known beforehand; empty: it does not.
    """

    def __init__(self, sheet: Sheet[_Row], form: Form, *, now: Callable[[], float], missing: str = "") -> None:
        self._sheet = sheet
        self._missing = missing
        self._now = now
        self._checked_at = now()
        self._csv = form == "csv"
        self.media_type = "text/csv; charset=utf-8" if self._csv else "application/x-ndjson"
        self.rows = 0
        self._outcome = "left"
        self._notes: set[asyncio.Task[None]] = set()

    async def chunks(self, may_still: Callable[[], Awaitable[bool]], note: Note) -> AsyncIterator[bytes]:
        """Yield the file in parts of whole lines.

        Args:
            may_still: Whether who asked may still look; asked every two seconds.
            note: Writes how it ended.
        """
        try:
            if self._csv:
                yield csv_lines([self._sheet.columns])
            async with aclosing(self._sheet.parts()) as parts:
                async for part in parts:
                    if self._is_due() and not await may_still():
                        self._outcome = "revoked"
                        yield self._broken(self._sheet.lost)
                        return
                    if part:
                        self.rows += len(part)
                        yield self._encoded(part)
            if self._missing:
                self._outcome = "partial"
                yield self._broken(self._missing)
                return
            self._outcome = "done"
        except StoreError as error:
            self._outcome = "failed"
            log.warning("export_failed", action=self._sheet.action, rows=self.rows, **error.describe())
            yield self._broken(error.message)
        finally:
            # A task of its own: when the reader has left, this one is being cancelled.
            task = background(self._end(note), "export-audit")
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)

    async def _end(self, note: Note) -> None:
        try:
            await note(self._outcome, rows=self.rows)
        except TidewireError as error:
            # That it was asked is in the log already.
            log.error("audit_outcome_unwritten", action=self._sheet.action, rows=self.rows, **error.describe())

    def _is_due(self) -> bool:
        if abs(self._now() - self._checked_at) < RECHECK_EVERY_S:
            return False
        self._checked_at = self._now()
        return True

    def _encoded(self, rows: Sequence[_Row]) -> bytes:
        if self._csv:
            return csv_lines([self._sheet.cells(row) for row in rows])
        return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)

    def _broken(self, why: str) -> bytes:
        """The last line of a file that is not whole."""
        said = f"This file is not whole: {why}"
        if self._csv:
            return csv_lines([("error", *("" for _ in self._sheet.columns[2:]), said)])
        return msgspec.json.encode({"error": said}) + b"\n"


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def written(moment: float) -> str:
    """Return Unix seconds as ISO 8601 with microseconds, UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def csv_lines(rows: Sequence[tuple[str, ...]]) -> bytes:
    """Return lines of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def file_headers(name: str, form: Form) -> dict[str, str]:
    """Return the headers of an answer that is a file."""
    return {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="tidewire-{name}.{form}"',
        "X-Accel-Buffering": "no",
    }
