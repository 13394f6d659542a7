"""``quotes check-plan``, and what a wrong plan does to the commands that need one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.quotes.plans import SMALL, line_of
from tidewire.quotes.plan_shelf import SHIPPED

BAD = SMALL.replace("TX = 0.9", "")


def test_a_good_plan_is_told_with_what_it_covers(run: Run) -> None:
    """The shipped plan is good, and that its figures are made up is said."""
    file = SHIPPED / "personal_auto.toml"
    done = run("quotes", "check-plan", str(file))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("personal_auto.toml is good: personal-auto-illustrative@2026.1 (")
    assert "for personal_auto, its figures are illustrative. 51 states, 5 coverages, 3 discounts." in done.out
    told = json.loads(run("quotes", "check-plan", str(file), "--json").out)
    assert (told["ok"], told["illustrative"], len(told["states"])) == (True, True, 51)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_wrong_plan_is_refused_with_file_line_and_reason(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Three sentences on stderr, nothing on stdout, exit code 1."""
    (tmp_path / "bad.toml").write_text(BAD)
    done = run("quotes", "check-plan", "bad.toml", *words)
    assert (done.code, done.out) == (1, "")
    line = line_of(BAD, "[coverages.liability.state]")
    assert f"bad.toml:{line}: coverages.liability.state has no factor for TX." in done.err
    assert "to do: Correct the lines named" in done.err
    assert "note:  Tidewire will not rate with a plan that it would have to guess about." in done.err


def test_a_file_that_is_not_there_is_told(run: Run) -> None:
    """Exit code 1 and the file's name."""
    done = run("quotes", "check-plan", "missing.toml")
    assert done.code == 1
    assert "missing.toml cannot be read: No such file or directory." in done.err


@pytest.mark.parametrize("command", [("check-config",), ("serve", "--no-feed")])
def test_a_wrong_plan_ends_the_start(
    run: Run, values: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Nothing is served with a plan that is wrong, and nothing with another plan instead."""
    (tmp_path / "bad.toml").write_text(BAD)
    values["TIDEWIRE_RATING_PLANS"] = str(tmp_path / "bad.toml")
    done = run(*command)
    assert done.code == 1
    assert "coverages.liability.state has no factor for TX" in done.err


def test_the_configuration_names_the_plan_in_use(run: Run, values: dict[str, str], tmp_path: Path) -> None:
    """An operator sees which plan would rate."""
    (tmp_path / "good.toml").write_text(SMALL)
    values["TIDEWIRE_RATING_PLANS"] = str(tmp_path / "good.toml")
    done = run("check-config", "--json")
    assert json.loads(done.out)["settings"]["rating plans"] == "small@1"
