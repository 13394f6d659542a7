"""Renders Jinja templates and finds built assets by Vite's manifest. It must not know what a page says.

A missing build is an explicit error, never an unstyled page.
Source: Vite manual, "Backend Integration" (manifest format).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from tidewire.core.errors import SettingsError
from tidewire.web.error_words import ErrorWords
from tidewire.web.language import Catalogues

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
        self._catalogues, self._errors = Catalogues(), ErrorWords()
        self._icons = Markup(_read_text(static / "icons.svg"))  # noqa: S704 - made by our own build from bootstrap-icons
        self._jinja.globals.update(
            scripts=self.scripts, styles=self.styles, preloads=self.preloads, asset=self.asset, icons=self.icons
        )

    def scripts(self, entry: str) -> list[str]:
        """Return the module URLs of a Vite entry such as ``src/pages/login.ts``."""
        return [self._static_url + self._entry(entry).file]

    def styles(self, entry: str) -> list[str]:
        """Return the style sheet URLs of a Vite entry and of every chunk it imports, without repeats."""
        # A chunk's own rules come after those of what it imports, or Bootstrap would override the page.
        chunks = self._imported_first(entry)
        return list(dict.fromkeys(self._static_url + css for chunk in chunks for css in chunk.css))

    def preloads(self, entry: str) -> list[str]:
        """Return the URLs of every chunk that a Vite entry imports, so that the browser fetches them at once."""
        return [self._static_url + chunk.file for chunk in self._closure(entry)[1:]]

    def asset(self, path: str) -> str:
        """Return the URL of a file of frontend/public, which keeps its name."""
        return self._static_url + path

    def icons(self) -> Markup:
        """Return the icon sprite, to be put into the page once."""
        return self._icons

    def render(self, request: Request, name: str, context: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
        """Return template ``name`` as a page.

        Beside ``context`` it sees ``request``, ``lang`` (the reader's language), ``t(key, **values)`` (its words) and
        ``say(code, details, own)`` (an error's sentences, error_words.py) and ``translated(key, said)``.
        """
        catalogue = self._catalogues.choose(request)
        say = partial(self._errors.say, catalogue.language)
        common: dict[str, Any] = {"request": request, "lang": catalogue.language, "t": catalogue.text, "say": say}
        common["translated"] = partial(self._catalogues.translated, catalogue)
        html = self._jinja.get_template(name).render(common, **context)
        headers = {"Cache-Control": "no-store", "Content-Language": catalogue.language}
        return HTMLResponse(html, status_code=status, headers=headers)

    def _imported_first(self, entry: str) -> list[ManifestEntry]:
        """Return the entry and every chunk it imports, each after all that it imports itself."""
        found: dict[str, ManifestEntry] = {}

        def visit(name: str, above: tuple[str, ...]) -> None:
            # Chunks may import each other.
            if name in found or name in above:
                return
            chunk = self._entry(name)
            for imported in chunk.imports:
                visit(imported, (*above, name))
            found[name] = chunk

        visit(entry, ())
        return list(found.values())

    def _closure(self, entry: str) -> list[ManifestEntry]:
        """Return the entry and every chunk it imports, breadth first, each once."""
        found: dict[str, ManifestEntry] = {}
        pending = [entry]
        while pending:
            name = pending.pop(0)
            if name not in found:
                found[name] = self._entry(name)
                pending.extend(found[name].imports)
        return list(found.values())

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
    return msgspec.json.decode(_read_text(path), type=dict[str, ManifestEntry])


def _read_text(path: Path) -> str:
    """Return a built file's text. Raises SettingsError if the build is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            "The front-end assets are not built.",
            required_action="Run `make assets`, or install Tidewire from a wheel, which carries them.",
            will_not="Tidewire will not serve pages without their scripts and styles.",
        ) from None
