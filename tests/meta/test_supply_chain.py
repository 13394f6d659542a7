"""What is shipped is pinned, new enough, listed with hashes, and never called audited when it was not (bar R25)."""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from packaging.version import Version

from tests.meta.source import ROOT

FLOORS = tomllib.loads((ROOT / ".ci" / "floors.toml").read_text())


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, ModuleType]]:
    """The scripts of .ci, as modules."""
    sys.path.insert(0, str(ROOT / ".ci"))
    yield {name: importlib.import_module(name) for name in ("locks", "sbom", "audit")}
    sys.path.remove(str(ROOT / ".ci"))


@pytest.fixture(scope="module")
def versions(tools: dict[str, ModuleType]) -> dict[str, dict[str, list[str]]]:
    """Ecosystem -> package -> versions in its lock."""
    found: dict[str, dict[str, list[str]]] = {"pypi": {}, "npm": {}}
    for package in [*tools["locks"].python_packages(), *tools["locks"].npm_packages()]:
        found[package.ecosystem].setdefault(package.name, []).append(package.version)
    return found


@pytest.mark.parametrize("ecosystem", ["pypi", "npm"])
def test_nothing_is_older_than_its_floor(versions: dict[str, dict[str, list[str]]], ecosystem: str) -> None:
    """Every package with a known flaw in older versions is locked at or above the version without it."""
    locked = versions[ecosystem]
    assert too_old(locked, FLOORS[ecosystem]) == []
    assert FLOORS[ecosystem].keys() <= locked.keys()
    assert too_old(locked, FLOORS["absent"]) == []


def test_a_version_below_its_floor_is_found() -> None:
    """The comparison can fail, and compares numbers, not letters."""
    floors = {"ws": {"floor": "8.21.0"}}
    assert too_old({"ws": ["8.9.0"]}, floors) == ["ws 8.9.0 < 8.21.0"]
    assert too_old({"ws": ["8.21.0", "7.0.0"]}, floors) == ["ws 7.0.0 < 8.21.0"]
    assert too_old({"ws": ["10.0.0"]}, floors) == []


def too_old(locked: dict[str, list[str]], floors: dict[str, dict[str, str]]) -> list[str]:
    """Every locked version below its floor."""
    pairs = [(name, version, floors[name]["floor"]) for name in floors for version in locked.get(name, [])]
    return [f"{name} {version} < {floor}" for name, version, floor in pairs if Version(version) < Version(floor)]


def test_every_package_is_pinned_by_hash(tools: dict[str, ModuleType]) -> None:
    """No file can be installed that is not the one that was looked at."""
    python, npm = tools["locks"].python_packages(), tools["locks"].npm_packages()
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    assert len(python) == len(pins) > 50
    assert len(npm) > 50
    assert [package.name for package in [*python, *npm] if not package.hashes] == []


def test_the_licence_of_everything_in_the_assets_is_among_them() -> None:
    """Each front-end dependency has a heading and the text of its licence in one of the two files."""
    static = ROOT / "src" / "tidewire" / "web" / "static"
    texts = "".join((static / name).read_text() for name in ("licenses.md", "licenses-of-styles.md"))
    entries = {part.split()[0]: part for part in texts.split("\n## ")[1:]}
    used = json.loads((ROOT / "frontend" / "package.json").read_text())["dependencies"]
    assert used.keys() <= entries.keys()
    assert [name for name in used if "copyright" not in entries[name].lower()] == []


def test_the_bill_of_materials_lists_both_locks(tools: dict[str, ModuleType]) -> None:
    """CycloneDX 1.6 with purl and hashes for every package, and the same bytes every time."""
    packages = [*tools["locks"].python_packages(), *tools["locks"].npm_packages()]
    bill: dict[str, Any] = tools["sbom"].bill(packages, "0.1.0")
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["serialNumber"].startswith("urn:uuid:")
    purls = [component["purl"] for component in bill["components"]]
    assert len(purls) == len(set(purls)) == len(packages)
    sizes = {"SHA-256": 64, "SHA-384": 96, "SHA-512": 128}
    for component in bill["components"]:
        assert component["hashes"], component["name"]
        assert all(len(entry["content"]) == sizes[entry["alg"]] for entry in component["hashes"])
    assert any(purl.startswith("pkg:npm/%40") for purl in purls)
    assert json.dumps(bill) == json.dumps(tools["sbom"].bill(packages[::-1], "0.1.0"))


def _pypi(*entries: dict[str, Any]) -> str:
    return json.dumps({"dependencies": entries, "fixes": []})


GOOD = {"name": "redis", "version": "8.1", "vulns": []}
SKIPPED = {"name": "redis", "skip_reason": "Dependency not found on PyPI and could not be audited: redis (8.1)"}
BAD = {"name": "redis", "version": "8.1", "vulns": [{"id": "CVE-1"}]}
NPM_GOOD = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 1}}}


@pytest.mark.parametrize(
    ("judge", "answer", "state"),
    [
        ("judge_pypi", _pypi(GOOD), 0),
        ("judge_pypi", _pypi(BAD), 1),
        ("judge_pypi", _pypi(SKIPPED), 2),
        ("judge_pypi", _pypi(), 2),
        ("judge_pypi", "", 2),
        ("judge_pypi", "[]", 2),
        ("judge_npm", json.dumps(NPM_GOOD), 0),
        ("judge_npm", json.dumps({**NPM_GOOD, "vulnerabilities": {"ws": {"severity": "high"}}}), 1),
        ("judge_npm", json.dumps({**NPM_GOOD, "metadata": {}}), 2),
        ("judge_npm", json.dumps({"message": "offline", "error": {"code": "ENOTFOUND"}}), 2),
        ("judge_npm", "not json", 2),
    ],
)
def test_what_could_not_be_looked_up_is_not_called_clean(
    tools: dict[str, ModuleType], judge: str, answer: str, state: int
) -> None:
    """A database that cannot be reached gives NOT AUDITED, where pip-audit itself would end with 0."""
    pinned = [tools["locks"].Package("pypi", "redis", "8.1", ())]
    assert getattr(tools["audit"], judge)(answer, pinned)[0] == state


def test_a_package_for_another_platform_need_not_be_asked_about(tools: dict[str, ModuleType]) -> None:
    """What is not installed here is not held against the audit; what was asked and not answered is."""
    package = tools["locks"].Package
    pinned = [package("pypi", "redis", "8.1", ()), package("pypi", "colorama", "1", (), conditional=True)]
    assert tools["audit"].judge_pypi(_pypi(GOOD), pinned)[0] == 0
    assert tools["audit"].judge_pypi(_pypi(GOOD, {**SKIPPED, "name": "colorama"}), pinned)[0] == 2


def test_every_state_but_clean_ends_with_an_error(tools: dict[str, ModuleType]) -> None:
    """CLEAN is the only state that lets a release pass."""
    assert {state for state, word in tools["audit"].WORDS.items() if word != "CLEAN"} == {1, 2}
