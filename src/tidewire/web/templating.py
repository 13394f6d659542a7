"""Renders Jinja templates and finds built assets by Vite's manifest. It must not know what a page says.

A missing build is an explicit error, never an unstyled page.
Source: Vite manual, "Backend Integration" (manifest format).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tidewire.core.errors import SettingsError

HERE = Path(__file__).resolve().parent


class ManifestEntry(msgspec.Struct, frozen=True):
    """One built entry: its file, style sheets and the chunks it imports, all relative to static/."""

    file: str
    css: list[str] = []
    imports: list[str] = []


class Templates:
    """Template rendering for all pages.

    Args:
        templates: Folder of ``*.html``.
        static: Folder with the built assets and ``.vite/manifest.json``.
        static_url: Where static/ is served.
    """

    def __init__(
        self, templates: Path = HERE / "templates", static: Path = HERE / "static", static_url: str = "/static/"
    ) -> None:
        self.static = static
        self._static_url = static_url
        self._manifest = _read_manifest(static / ".vite" / "manifest.json")
        self._jinja = Environment(loader=FileSystemLoader(templates), autoescape=True, undefined=StrictUndefined)
        self._jinja.globals["scripts"] = self.scripts
        self._jinja.globals["styles"] = self.styles

    def scripts(self, entry: str) -> list[str]:
        """Return the module URLs of a Vite entry such as ``src/pages/login.ts``."""
        return [self._static_url + self._entry(entry).file]

    def styles(self, entry: str) -> list[str]:
        """Return the style sheet URLs of a Vite entry and of every chunk it imports, without repeats."""
        found: dict[str, None] = {}
        pending, seen = [entry], set[str]()
        while pending:
            name = pending.pop(0)
            if name in seen:
                continue
            seen.add(name)
            chunk = self._entry(name)
            found.update(dict.fromkeys(self._static_url + css for css in chunk.css))
            pending.extend(chunk.imports)
        return list(found)

    def render(self, request: Request, name: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
        """Return template ``name`` as a page; ``request`` is in its context."""
        html = self._jinja.get_template(name).render(request=request, **context)
        return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})

    def _entry(self, name: str) -> ManifestEntry:
        try:
            return self._manifest[name]
        except KeyError:
            raise SettingsError(
                f"The front-end build has no entry {name}.",
                required_action="Run `make assets`.",
                will_not="Tidewire will not serve a page without its scripts and styles.",
            ) from None


def _read_manifest(path: Path) -> dict[str, ManifestEntry]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, ManifestEntry])
    except FileNotFoundError:
        raise SettingsError(
            "The front-end assets are not built.",
            required_action="Run `make assets`, or install Tidewire from a wheel, which carries them.",
            will_not="Tidewire will not serve pages without their scripts and styles.",
        ) from None
