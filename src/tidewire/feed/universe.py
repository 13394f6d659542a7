"""Reads a universe file: CSV or JSON in, a list of members out, or one error that names every bad row. Pure.

It must not know where the file came from or where the members go. Nothing is half-imported: one bad row and nothing
is returned.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Final, Literal

import msgspec

from tidewire.core.errors import InvalidRequest

# Letters, digits, dot and hyphen: BRK.B, BF-A, X1. At most 15 characters.
TICKER: Final = re.compile(r"[A-Z][A-Z0-9.\-]{0,14}")
UNIVERSE_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,63}:[a-z0-9][a-z0-9_\-]{0,63}")
# 20 times the number of listed US shares; above that the file is not a universe.
MAX_MEMBERS: Final = 100_000
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
# An error that names thousands of rows helps nobody; the count is always exact.
_MAX_NAMED_ROWS: Final = 50
_WILL_NOT: Final = "Nothing was imported; the stored universe is unchanged."


class UniverseMember(msgspec.Struct, frozen=True):
    """One ticker of a universe, upper case, and its name ("" if the file has none)."""

    symbol: str
    name: str = ""


def parse_key(text: str) -> str:
    """Return a universe key such as ``market_leaders:top_500``.

    Raises:
        InvalidRequest: It is not ``name:part`` in lower-case letters, digits and underscores.
    """
    if not UNIVERSE_KEY.fullmatch(text):
        raise InvalidRequest(
            f"{text[:100]!r} is not a universe key.",
            required_action="Write it as name:part in lower case, for example market_leaders:top_500.",
            will_not=_WILL_NOT,
        )
    return text


def parse_ticker(text: str) -> str | None:
    """Return ``text`` as a ticker in upper case, or None if it cannot be one."""
    ticker = text.strip().upper()
    return ticker if TICKER.fullmatch(ticker) else None


def parse_universe(content: bytes, file_format: Literal["csv", "json"] | None = None) -> list[UniverseMember]:
    """Read the members of a universe, in file order.

    Args:
        content: The whole file, UTF-8 (a byte order mark is allowed). CSV: a header with ``symbol`` and perhaps
            ``name``, or one ticker per line without a header. JSON: a list of strings or of objects with ``symbol``.
        file_format: ``csv`` or ``json``; told from the first character if None.

    Raises:
        InvalidRequest: The file is empty, too large, not UTF-8, or has bad rows; all their numbers are named.
    """
    if len(content) > MAX_FILE_BYTES:
        raise _refuse(f"The file has {len(content)} bytes; a universe has at most {MAX_FILE_BYTES}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refuse(f"The file is not UTF-8 (line {line}).", "Save the file as UTF-8.") from error
    if not text.strip():
        raise _refuse("The file is empty.", "Give it at least one ticker.")
    if file_format == "json" or (file_format is None and text.lstrip()[:1] in "[{"):
        rows = _json_rows(text)
    else:
        rows = _csv_rows(text)
    return _check(rows)


# A row: its number as a person counts, the symbol, the name, and what is wrong with it ("" if nothing yet).
_Row = tuple[int, str, str, str]


def _json_rows(text: str) -> list[_Row]:
    try:
        items = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _refuse(f"The file is not valid JSON: {error}.") from error
    if not isinstance(items, list):
        raise _refuse("The JSON file is not a list.", 'Write it as ["AAPL", ...] or [{"symbol": "AAPL"}, ...].')
    rows: list[_Row] = []
    for number, item in enumerate(items, start=1):
        symbol, name = item, ""
        if isinstance(item, dict):
            symbol, name = item.get("symbol"), item.get("name") or ""
        if not isinstance(symbol, str) or not isinstance(name, str):
            rows.append((number, "", "", "no symbol text"))
        else:
            rows.append((number, symbol, name.strip(), ""))
    return rows


def _csv_rows(text: str) -> list[_Row]:
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[_Row] = []
    columns: tuple[int, int | None] | None = None
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if not any(cells):
                continue
            if columns is None:
                header = [cell.lower() for cell in cells]
                if "symbol" in header:
                    columns = (header.index("symbol"), header.index("name") if "name" in header else None)
                    continue
                columns = (0, 1 if len(cells) > 1 else None)
            rows.append(_csv_row(reader.line_num, cells, columns))
    except csv.Error as error:
        raise _refuse(f"The file is not valid CSV at line {reader.line_num}: {error}.") from error
    return rows


def _csv_row(number: int, cells: list[str], columns: tuple[int, int | None]) -> _Row:
    symbol_at, name_at = columns
    if symbol_at >= len(cells):
        return (number, "", "", "no symbol column")
    name = cells[name_at] if name_at is not None and name_at < len(cells) else ""
    return (number, cells[symbol_at], name, "")


def _check(rows: list[_Row]) -> list[UniverseMember]:
    if not rows:
        raise _refuse("The file has no members.", "Give it at least one ticker.")
    if len(rows) > MAX_MEMBERS:
        raise _refuse(f"The file has {len(rows)} members; a universe has at most {MAX_MEMBERS}.")
    members: dict[str, UniverseMember] = {}
    first_row: dict[str, int] = {}
    bad: list[str] = []
    for number, text, name, complaint in rows:
        ticker = parse_ticker(text)
        if not complaint and ticker is None:
            complaint = f"{text[:40]!r} is not a ticker" if text else "no symbol"
        elif ticker is not None and ticker in members:
            complaint = f"{ticker} is already in row {first_row[ticker]}"
        if complaint or ticker is None:
            bad.append(f"row {number}: {complaint}")
            continue
        members[ticker] = UniverseMember(ticker, name[:200])
        first_row[ticker] = number
    if bad:
        named = "; ".join(bad[:_MAX_NAMED_ROWS])
        more = f"; and {len(bad) - _MAX_NAMED_ROWS} more" if len(bad) > _MAX_NAMED_ROWS else ""
        raise _refuse(f"{len(bad)} of {len(rows)} rows are bad: {named}{more}.", "Correct these rows and import again.")
    return list(members.values())


def _refuse(message: str, required_action: str = "Correct the file and import it again.") -> InvalidRequest:
    return InvalidRequest(message, required_action=required_action, will_not=_WILL_NOT, code="universe_invalid")
