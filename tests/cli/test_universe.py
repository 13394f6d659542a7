"""``universe import`` and ``list``: whole files or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

KEY = ("--key", "market_leaders:top_500")


def test_a_file_is_imported_replaced_and_listed(run: Run, tmp_path: Path) -> None:
    """CSV first, JSON over it: what was added and removed is told, and the list shows it."""
    (tmp_path / "top.csv").write_text("symbol,name\nAAPL,Apple\nMSFT,Microsoft\n")
    (tmp_path / "top.json").write_text('["AAPL", {"symbol": "NVDA"}]')
    assert "There is no universe yet" in run("universe", "list").out
    done = run("universe", "import", "top.csv", *KEY)
    assert (done.code, done.out) == (0, "market_leaders:top_500: 2 tickers (2 added, 0 removed).\n")
    done = run("universe", "import", "top.json", *KEY, "--json")
    assert json.loads(done.out) == {"key": "market_leaders:top_500", "added": 1, "removed": 1, "total": 2}
    listed = json.loads(run("universe", "list", "--json").out)
    assert [(one["key"], one["tickers"], one["source"]) for one in listed] == [
        ("market_leaders:top_500", 2, "top.json")
    ]
    assert "market_leaders:top_500" in run("universe", "list").out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("symbol\nAAPL\n$$$\nMSFT\nAAPL\n", ["2 of 4 rows are bad", "row 3: '$$$'", "row 5: AAPL is already in row 2"]),
        ('["AAPL", 7, "a b"]', ["2 of 3 rows are bad", "row 2", "row 3"]),
        ("", ["empty"]),
        ("[", ["not valid JSON"]),
    ],
)
def test_bad_rows_are_named_and_nothing_is_imported(run: Run, tmp_path: Path, content: str, told: list[str]) -> None:
    """The universe that was there is there unchanged."""
    (tmp_path / "good.csv").write_text("TSLA\n")
    (tmp_path / "bad").write_text(content)
    assert run("universe", "import", "good.csv", *KEY).code == 0
    done = run("universe", "import", "bad", *KEY)
    assert (done.code, done.out) == (1, "")
    for words in (*told, "Nothing was imported"):
        assert words in done.err
    assert [one["tickers"] for one in json.loads(run("universe", "list", "--json").out)] == [1]


@pytest.mark.parametrize(
    ("words", "told"),
    [(("missing.csv", *KEY), "missing.csv cannot be read"), (("good.csv", "--key", "No Key"), "not a universe key")],
)
def test_a_missing_file_and_a_wrong_key_are_told(run: Run, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    """Exit code 1 and what to do."""
    (tmp_path / "good.csv").write_text("TSLA\n")
    done = run("universe", "import", *words)
    assert done.code == 1
    assert told in done.err
    assert "to do:" in done.err
    assert json.loads(run("universe", "list", "--json").out) == []
