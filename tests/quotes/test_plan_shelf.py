"""Plans come from files, and a file that is wrong ends the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quotes.plans import SMALL, small
from tidewire.core.errors import SettingsError
from tidewire.quotes.model import PRODUCTS
from tidewire.quotes.plan_shelf import load_plans


def test_every_product_has_a_shipped_plan() -> None:
    """A fresh installation can rate whatever can be quoted."""
    assert set(load_plans()) == set(PRODUCTS)


def test_a_file_or_a_directory_replaces_the_shipped_plans(tmp_path: Path) -> None:
    """Either way the plans are those that were given and no others; line ends of Windows are no change."""
    file = tmp_path / "a.toml"
    file.write_bytes(SMALL.replace("\n", "\r\n").encode())
    assert load_plans(file) == load_plans(tmp_path) == {"personal_auto": small()}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"a = 1\n\xff", "line 2 is not UTF-8"), (b"a = 1\n", "a.toml:1: ")],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """Never another plan instead."""
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"a\.toml") as caught:
        load_plans(file)
    assert reason in caught.value.message


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    """It is more likely a wrong path than a wish to rate nothing."""
    with pytest.raises(SettingsError, match=r"no \*\.toml"):
        load_plans(tmp_path)


def test_two_plans_of_one_product_are_refused(tmp_path: Path) -> None:
    """Which of them is meant cannot be known."""
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(SMALL)
    with pytest.raises(SettingsError, match=r"a\.toml and b\.toml are both rating plans for personal_auto"):
        load_plans(tmp_path)
