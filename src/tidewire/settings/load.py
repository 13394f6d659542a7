"""Reads the environment, ``.env`` and ``*_FILE`` secrets, and reports every wrong key at once.

It must not open a database or a socket. Precedence: arguments > environment > ``.env`` > defaults.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError

from tidewire.core.errors import SettingsError
from tidewire.settings.check import SECRET_KEYS, Problem, contradictions, mask
from tidewire.settings.model import SLOTS_MAX, Settings

_OWN_PREFIXES = ("TIDEWIRE_", "WEBSOCKET_CONNECTION")


def known_keys() -> list[str]:
    """Return every key, sorted."""
    return sorted(str(field.validation_alias) for field in Settings.model_fields.values())


def load_settings(*, env_file: Path | None = Path(".env"), demo: bool = False, **values: Any) -> Settings:
    """Read, check and freeze the settings.

    Args:
        env_file: A ``.env`` file, or None.
        demo: Whether the demo runs (a secret key is then not demanded; the demo makes its own).
        values: Settings by attribute name that override everything (the demo and tests use it).

    Raises:
        SettingsError: With every problem, one per line.
    """
    file_values = {k: v or "" for k, v in dotenv_values(env_file).items()} if env_file else {}
    merged = {**file_values, **os.environ}
    problems = _unknown_keys(merged)
    secrets, secret_problems = _secrets_from_files(merged)
    problems += secret_problems
    try:
        settings = Settings(_env_file=env_file, **{**secrets, **values})
    except ValidationError as exc:
        raise _settings_error(problems + _invalid_values(exc, merged)) from None
    problems += contradictions(settings, demo=demo)
    if problems:
        raise _settings_error(problems)
    return settings


def _settings_error(problems: list[Problem]) -> SettingsError:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    plural = "problem" if len(problems) == 1 else "problems"
    return SettingsError(
        f"The configuration has {len(problems)} {plural}:\n{lines}",
        required_action="Correct the environment or .env, then run `tidewire check-config`.",
        will_not="Tidewire will not start with a configuration it would have to guess about.",
    )


def _unknown_keys(merged: Mapping[str, str]) -> list[Problem]:
    known = known_keys()
    readable = {*known, *(f"{key}_FILE" for key in SECRET_KEYS)}
    problems = []
    for key in sorted(merged):
        if not key.startswith(_OWN_PREFIXES) or key in readable:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        slot = re.fullmatch(r"WEBSOCKET_CONNECTION_(\d+)_\w+", key)
        what = "is not a known key."
        if slot and not 1 <= int(slot[1]) <= SLOTS_MAX:
            what = f"names slot {slot[1]}; slots are 1..{SLOTS_MAX}."
        problems.append(Problem(key, mask(key, merged[key]), what, f"Did you mean {near[0]}? Rename or remove it."))
    return problems


def _secrets_from_files(merged: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """Read ``KEY_FILE`` for the secret keys, as container platforms mount them."""
    found, problems = {}, []
    names = {str(field.validation_alias): name for name, field in Settings.model_fields.items()}
    for key in sorted(SECRET_KEYS):
        path = merged.get(f"{key}_FILE")
        if not path:
            continue
        if merged.get(key):
            problems.append(Problem(f"{key}_FILE", path, f"contradicts {key}, which is set too.", "Keep one of them."))
            continue
        try:
            found[names[key]] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            problems.append(Problem(f"{key}_FILE", path, f"cannot be read ({exc}).", "Correct the path or its rights."))
    return found, problems


def _invalid_values(exc: ValidationError, merged: Mapping[str, str]) -> list[Problem]:
    aliases = {name: str(field.validation_alias) for name, field in Settings.model_fields.items()}
    problems = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        place = str(error["loc"][0]) if error["loc"] else ""
        key = aliases.get(place, place)
        value = mask(key, merged.get(key, ""))
        problems.append(Problem(key, value, f"is not valid ({error['msg']}).", "Give a value of the stated kind."))
    return problems
