"""Every command explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.cli.conftest import Run
from tidewire import __version__
from tidewire.cli import app

PROMISED = {
    *("serve", "demo", "feed", "simulate", "migrate", "check-config", "watch", "publish"),
    *("user add", "user passwd", "universe import", "universe list", "token create", "token list", "token revoke"),
    *("ban list", "ban lift"),
}


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return every command below ``command`` with its words."""
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        child = command.get_command(None, name)
        words = f"{path} {name}".strip()
        yield words, child
        yield from commands(child, words)


ALL = dict(commands(typer.main.get_command(app)))


def test_the_promised_commands_are_there() -> None:
    """What the contract lists and this release holds can be called."""
    assert set(ALL) >= PROMISED


@pytest.mark.parametrize("words", ["", *sorted(ALL)])
def test_help_says_what_a_command_and_each_of_its_options_do(run: Run, words: str) -> None:
    """``--help`` exits with 0 and leaves no option unexplained."""
    done = run(*words.split(), "--help")
    assert done.code == 0
    assert re.match(rf"Usage: .*tidewire {words}", done.out)
    assert done.err == ""
    command = ALL.get(words)
    if command is not None:
        assert (command.help or "").strip().split(".")[0] in " ".join(done.out.split())
        assert [one.name for one in command.params if one.param_type_name == "option" and not one.help] == []


def test_the_version_and_the_shell_completion_are_offered(run: Run) -> None:
    """``--version`` prints it, and completion can be installed."""
    assert run("--version").out == f"tidewire {__version__}\n"
    assert "--install-completion" in run("--help").out


@pytest.mark.parametrize("words", ["no-such-command", "serve --no-such-option", "universe import", "demo --port many"])
def test_wrong_usage_ends_with_2(run: Run, words: str) -> None:
    """What cannot be read is told on stderr with the way to the help."""
    done = run(*words.split())
    assert done.code == 2
    assert done.out == ""
    assert "--help" in done.err


def test_a_command_loads_only_what_it_needs() -> None:
    """``tidewire --version`` and each tool answer at once, without the server that they are not."""
    program = "import sys, tidewire.cli; print(sorted({'fastapi', 'redis', 'rich', 'sqlalchemy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
