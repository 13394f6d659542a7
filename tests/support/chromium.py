"""Finds Chromium for the browser tests; as a script, installs it with the system's package manager where it can.

Order: CHROMIUM_PATH, then PATH. Run as ``python -m tests.support.chromium`` by ``make test``. The build without windows
(``chromium-headless-shell``: the same engine) goes before the whole browser, because a profile costs it a sixth.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Windows of the browser's own, made again for every profile: a quarter of what a page costs here.
    "--disable-features=PreloadTopChromeWebUI,PreloadTopChromeWebUILessNavigations,WebUIOmniboxPopup,WebUITabStrip",
)
WHAT_TO_DO = (
    "Chromium was not found. Install it with your system's package manager (Debian/Ubuntu: `apt-get install chromium`, "
    "Fedora: `dnf install chromium`, macOS: `brew install --cask chromium`) or set CHROMIUM_PATH to its executable. "
    "The browser tests will not run without it, and will not be skipped silently."
)
# Package manager -> what to run first, how to install a package without a question, and the packages, best first.
INSTALLERS = {
    "apt-get": (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq"], (SHELL, "chromium")),
    "dnf": (None, ["dnf", "install", "-y", "-q"], ("chromium",)),
    "apk": (None, ["apk", "add", "-q"], ("chromium",)),
    "pacman": (None, ["pacman", "-S", "--noconfirm"], ("chromium",)),
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
    manager = next((name for name in INSTALLERS if shutil.which(name)), None)
    if manager is not None and "CHROMIUM_PATH" not in os.environ and os.geteuid() == 0:
        install(*INSTALLERS[manager])
    if find_chromium() is None:
        print(WHAT_TO_DO, file=sys.stderr)
        return 1
    return 0


def install(prepare: list[str] | None, command: list[str], packages: tuple[str, ...]) -> None:
    """Install the best package that can be had, unless it or, where none can be had, another Chromium is there."""
    found = find_chromium()
    wanted = packages if found is None else [one for one in packages if one == SHELL != found.name]
    if not wanted:
        return
    if prepare is not None:
        _run(prepare)
    for package in wanted:
        if _run([*command, package]):
            return


def _run(command: list[str]) -> bool:
    print(f"for the browser tests: {' '.join(command)}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
