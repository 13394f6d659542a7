"""``user add`` and ``passwd``: passwords come through a pipe and never from the command line."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

MUST = "The password must be changed at the next login."
GOOD = "four unrelated words\n"


def test_a_user_is_added_once_and_gets_another_password(run: Run) -> None:
    """Added with a role; the same name in capitals is taken; passwd says how many sessions it ended."""
    done = run("user", "add", "ada", "--role", "admin", "--password-stdin", given=GOOD)
    assert (done.code, done.out) == (0, "Added ada with the role admin.\n")
    done = run("user", "add", "ADA", "--password-stdin", given=GOOD)
    assert done.code == 1
    assert "is taken" in done.err
    done = run("user", "passwd", "ada", "--password-stdin", "--json", given="some other words here\n")
    assert json.loads(done.out) == {"username": "ada", "sessions_ended": 0, "must_change_password": False}
    done = run("user", "passwd", "ada", "--password-stdin", "--must-change", given=GOOD)
    assert done.out == f"Set the password of ada; 0 sessions ended. {MUST}\n"
    assert json.loads(run("user", "list", "--json").out) == [{"username": "ada", "role": "admin", "disabled": False}]


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (("add", "bob", "--password-stdin"), "short\n", "at least 10"),
        (("add", "bob", "--password-stdin"), "password1234\n", "commonest"),
        (("add", "bob", "--password-stdin"), "\n", "0 characters"),
        (("add", "bob", "--role", "king", "--password-stdin"), GOOD, "no role 'king'"),
        (("add", " bob", "--password-stdin"), GOOD, "username"),
        (("add", "bob"), GOOD, "no terminal"),
        (("passwd", "nobody", "--password-stdin"), GOOD, "no user nobody"),
    ],
)
def test_what_is_not_accepted_is_told_and_nobody_is_added(
    run: Run, words: tuple[str, ...], given: str, told: str
) -> None:
    """Exit code 1, the reason and what to do; the password is not repeated."""
    done = run("user", *words, given=given)
    assert (done.code, done.out) == (1, "")
    assert told in done.err
    assert "to do:" in done.err
    assert not given.strip() or given.strip() not in done.err
    assert json.loads(run("user", "list", "--json").out) == []
