"""Universe files: all of it or nothing, with every bad row named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.core.errors import InvalidRequest
from tidewire.feed.universe import UniverseMember, parse_key, parse_ticker, parse_universe

BOTH = [UniverseMember("AAPL", "Apple"), UniverseMember("BRK.B")]


@pytest.mark.parametrize(
    "content",
    [
        b"symbol,name\nAAPL,Apple\nBRK.B,\n",
        b"Name,Symbol\r\nApple,aapl\r\n,brk.b\r\n",
        b"\xef\xbb\xbfsymbol,name\n\n AAPL , Apple \nBRK.B\n",
        b"AAPL,Apple\nBRK.B,\n",
        b'[{"symbol":"AAPL","name":"Apple"},{"symbol":"brk.b"}]',
        b' [{"symbol":"AAPL","name":"Apple","x":1},"BRK.B"]',
    ],
)
def test_forms(content: bytes) -> None:
    """CSV with and without a header, a byte order mark, JSON of strings and objects mean the same."""
    assert parse_universe(content) == BOTH


def test_one_ticker_per_line() -> None:
    """A plain list needs no header; a quoted name may hold a comma."""
    assert [m.symbol for m in parse_universe(b"AAPL\nMSFT\n")] == ["AAPL", "MSFT"]
    assert parse_universe(b'symbol,name\nBRK.B,"Berkshire, Inc."\n')[0].name == "Berkshire, Inc."


def test_every_bad_row_is_named() -> None:
    """The error names the rows as the file's lines count, with reasons, and says that nothing was imported."""
    with pytest.raises(InvalidRequest) as caught:
        parse_universe(b"symbol,name\nAAPL,ok\n1BAD,x\n,empty\naapl,again\nGOOD,\nTOOLONGTICKERNAME1,x\n")
    message = caught.value.message
    for text in ("4 of 6", "row 3: '1BAD'", "row 4: no symbol", "row 5: AAPL is already in row 2", "row 7: 'TOOLONG"):
        assert text in message
    assert "row 2" not in message.replace("in row 2", "")
    assert "row 6" not in message
    assert "Nothing was imported" in caught.value.will_not


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"symbol,name\n", "no members"),
        (b"[]", "no members"),
        (b"AAPL\n\xff\xfe\n", "not UTF-8 (line 2)"),
        ("AAPL\nMSFT\n".encode("utf-16"), "not UTF-8"),
        (b'{"symbol":"AAPL"}', "not a list"),
        (b'["AAPL"', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'["AAPL",5,{"name":"x"},null]', "row 2: no symbol text; row 3: no symbol text; row 4"),
        (b'symbol\n"AAPL\n', "not valid CSV"),
        (b"A\x00B\n", "not a ticker"),
        (b"AAPL\n" * 100_001, "at most 100000"),
        (b"x" * (17 * 1024 * 1024), "at most"),
    ],
)
def test_bad_files(content: bytes, text: str) -> None:
    """Empty, mis-encoded, malformed and oversized files are one clear error."""
    with pytest.raises(InvalidRequest) as caught:
        parse_universe(content)
    assert text in caught.value.message
    assert caught.value.code == "universe_invalid"


def test_many_bad_rows_are_counted_not_listed() -> None:
    """Fifty rows are named, the rest is a number."""
    with pytest.raises(InvalidRequest) as caught:
        parse_universe(b"1\n" * 1_000)
    assert "1000 of 1000" in caught.value.message
    assert "and 950 more" in caught.value.message


@pytest.mark.parametrize("key", ["market_leaders:top_500", "a:1", "etf:us-tech"])
def test_good_keys(key: str) -> None:
    """name:part."""
    assert parse_key(key) == key


@pytest.mark.parametrize("key", ["", "x", "x:", ":x", "a:b:c", "A:b", "a b:c", "a:b\n", "a:" + "x" * 100])
def test_bad_keys(key: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidRequest):
        parse_key(key)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_members_or_a_named_error(content: bytes) -> None:
    """No file can do worse than be refused; what is accepted is valid and unique."""
    try:
        members = parse_universe(content)
    except InvalidRequest:
        return
    symbols = [member.symbol for member in members]
    assert symbols
    assert len(set(symbols)) == len(symbols)
    assert all(parse_ticker(symbol) == symbol for symbol in symbols)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.from_regex(r"\A[A-Z][A-Z0-9.\-]{0,14}\Z"), min_size=1, max_size=20, unique=True))
def test_json_and_csv_agree(symbols: list[str]) -> None:
    """The same symbols in either form give the same members, in order."""
    expected = [UniverseMember(symbol) for symbol in symbols]
    assert parse_universe(json.dumps(symbols).encode()) == expected
    assert parse_universe(("symbol\n" + "\n".join(symbols)).encode()) == expected
