"""Reads the two locks: what exactly is installed, and by which hashes. It must not know what is done with it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)\s*(;[^\\]*)?", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Package:
    """One pinned package.

    Attributes:
        ecosystem: ``pypi`` or ``npm``.
        hashes: (algorithm, hex) of every file that may be installed for it.
        conditional: Only on some platforms or Python versions.
        development: Not in what users install.
    """

    ecosystem: str
    name: str
    version: str
    hashes: tuple[tuple[str, str], ...]
    conditional: bool = False
    development: bool = False

    @property
    def purl(self) -> str:
        """Its package URL (purl specification, types pypi and npm)."""
        return f"pkg:{self.ecosystem}/{self.name.replace('@', '%40')}@{self.version}"


def python_packages(text: str | None = None) -> list[Package]:
    """Return what constraints.txt pins."""
    text = text if text is not None else (ROOT / "constraints.txt").read_text()
    pins = list(_PIN.finditer(text))
    found = []
    for pin, following in zip(pins, [*pins[1:], None], strict=True):
        block = text[pin.start() : following.start() if following else len(text)]
        hashes = tuple(("SHA-256", digest) for digest in _HASH.findall(block))
        name = re.sub(r"[-_.]+", "-", pin[1]).lower()
        found.append(Package("pypi", name, pin[2], hashes, conditional=pin[3] is not None))
    return found


def npm_packages(text: str | None = None) -> list[Package]:
    """Return what the npm lock pins; a package that is nested twice in one version is one."""
    lock = json.loads(text if text is not None else (ROOT / "frontend" / "package-lock.json").read_text())
    found: dict[tuple[str, str], Package] = {}
    for path, entry in lock["packages"].items():
        name = entry.get("name") or path.rpartition("node_modules/")[2]
        if not path or entry.get("link") or "node_modules/" not in path:
            continue
        algorithm, _, digest = entry["integrity"].partition("-")
        hashes = ((algorithm.upper().replace("SHA", "SHA-"), base64.b64decode(digest).hex()),)
        conditional, development = bool(entry.get("optional")), bool(entry.get("dev"))
        package = Package("npm", name, entry["version"], hashes, conditional, development)
        found.setdefault((name, package.version), package)
    return list(found.values())
