"""What stands in deploy/ is about this program: real settings, real commands, units that systemd accepts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.support.command import ROOT, environment, run_command
from tidewire.core.errors import SettingsError
from tidewire.settings import known_keys, load_settings
from tidewire.settings.check import SECRET_KEYS

DEPLOY = ROOT / "deploy"
# What a real key can look like; written apart, so that names of other programs' variables are not meant.
_KEY = re.compile(r"\b(?:TIDEWIRE|WEBSOCKET|USE|MASSIVE)_[A-Z0-9_]+\b")
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_setting_named_is_a_real_one(path: Path) -> None:
    """A key that was renamed or misspelt would end the start on somebody else's machine."""
    real = {*known_keys(), *(f"{key}_FILE" for key in SECRET_KEYS)}
    assert set(_KEY.findall(path.read_text())) <= real


def test_there_is_something_to_check() -> None:
    """The files above name settings at all."""
    assert sum(len(_KEY.findall(path.read_text())) for path in FILES) > 30


def sample(monkeypatch: pytest.MonkeyPatch, **filled: str) -> None:
    """Make the sample, with some of it filled in, the environment."""
    for key in set(os.environ) - set(environment()):
        monkeypatch.delenv(key)
    for key, value in {**dotenv_values(DEPLOY / "env" / "tidewire.env.sample"), **filled}.items():
        monkeypatch.setenv(key, value or "")


def test_the_sample_is_good_once_it_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a secret of one's own it is a configuration without contradiction."""
    sample(monkeypatch, TIDEWIRE_SECRET_KEY="x" * 40)
    settings = load_settings(env_file=None)
    assert (settings.metrics_port, settings.tls) == (9100, True)


def test_the_sample_as_it_is_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody runs with a secret that stands in a public file."""
    sample(monkeypatch)
    with pytest.raises(SettingsError, match="TIDEWIRE_SECRET_KEY"):
        load_settings(env_file=None)


@pytest.mark.parametrize("role", ["web", "feed"])
def test_the_units_are_accepted_and_run_real_commands(role: str, tmp_path: Path) -> None:
    """systemd has nothing to say against them, and the command line knows what they start."""
    text = (DEPLOY / "systemd" / f"tidewire-{role}.service").read_text()
    command = re.search(r"^ExecStart=/opt/tidewire/bin/tidewire (.+)$", text, re.MULTILINE)
    assert command is not None
    assert run_command(*command[1].split(), "--help", cwd=tmp_path).returncode == 0
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not on this machine")
    unit = tmp_path / f"tidewire-{role}.service"
    # The real program is not installed here, and the unit's user does not exist.
    unit.write_text(text.replace("/opt/tidewire/bin/tidewire", sys.executable))
    done = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
