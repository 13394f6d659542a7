"""Accessibility as axe-core sees it; the script comes from the front end's own packages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[dict[str, Any]]:
    """Return every rule of axe that the page breaks now, each with the elements and why."""
    # Through the debugger, which no Content-Security-Policy binds; a <script> would be refused, and rightly.
    page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(
        """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map((one) => ({
            rule: one.id, help: one.help,
            where: one.nodes.slice(0, 5).map((node) => `${node.target.join(" ")}: ${node.failureSummary}`),
        }))"""
    )
    return found


@cache
def _source() -> str:
    if not SCRIPT.is_file():
        raise AssertionError("axe-core is not in frontend/node_modules: run `make setup`")
    return SCRIPT.read_text(encoding="utf-8")
