"""Finds Chromium for the browser tests; as a script, installs it with the system's package manager where it can.

Order: CHROMIUM_PATH, then PATH. Run as ``python -m tests.support.chromium`` by ``make test``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WHAT_TO_DO = (
    "Chromium was not found. Install it with your system's package manager (Debian/Ubuntu: `apt-get install chromium`, "
    "Fedora: `dnf install chromium`, macOS: `brew install --cask chromium`) or set CHROMIUM_PATH to its executable. "
    "The browser tests will not run without it, and will not be skipped silently."
)
# Package manager -> the commands that install Chromium without a question.
INSTALLERS = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]),
    "dnf": (["dnf", "install", "-y", "-q", "chromium"],),
    "apk": (["apk", "add", "-q", "chromium"],),
    "pacman": (["pacman", "-S", "--noconfirm", "chromium"],),
}


def find_chromium() -> Path | None:
    """Return the executable, or None."""
    named = os.environ.get("CHROMIUM_PATH")
    if named:
        return Path(named) if Path(named).exists() else None
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None


def chromium_path() -> Path:
    """Return the executable. Raises RuntimeError that says what to do."""
    path = find_chromium()
    if path is None:
        raise RuntimeError(WHAT_TO_DO)
    return path


def main() -> int:
    """Install Chromium if it is missing; return an exit code."""
    if find_chromium() is None and "CHROMIUM_PATH" not in os.environ and os.geteuid() == 0:
        manager = next((name for name in INSTALLERS if shutil.which(name)), None)
        for command in INSTALLERS.get(manager or "", ()):
            print(f"installing Chromium: {' '.join(command)}", file=sys.stderr)
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            if subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=environment).returncode:
                break
    if find_chromium() is None:
        print(WHAT_TO_DO, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
