"""Templates find built assets, speak the reader's language, and fail loudly rather than half."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from starlette.requests import Request

from tidewire.core.errors import SettingsError
from tidewire.web.language import Catalogue, Catalogues, accepted
from tidewire.web.templating import Templates

ENTRIES = ["login", "error", "welcome", "admin-websockets", "admin-connections", "admin-rooms", "api-docs", "streaming"]


def request(**headers: str) -> Request:
    """A request with these headers."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw})


@pytest.fixture(scope="module")
def templates() -> Templates:
    """The real templates over the real build."""
    return Templates()


def built(tmp_path: Path, manifest: dict[str, object], template: str) -> Templates:
    """Templates over a build of our own."""
    (tmp_path / ".vite").mkdir()
    (tmp_path / ".vite" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "icons.svg").write_text("<svg></svg>")
    (tmp_path / "page.html").write_text(template)
    return Templates(templates=tmp_path, static=tmp_path)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_built(templates: Templates, entry: str) -> None:
    """Scripts, preloads and styles of every entry lie in the build."""
    name = f"src/pages/{entry}.ts"
    urls = templates.scripts(name) + templates.preloads(name) + templates.styles(name)
    assert templates.styles(name)
    for url in urls:
        assert (templates.static / url.removeprefix("/static/")).is_file(), url


def test_no_asset_names_another_host(templates: Templates) -> None:
    """Style sheets and our own scripts load nothing from elsewhere."""
    foreign = re.compile(r"""(?:url\(|src=|import\(?)\s*["']?(?:https?:)?//""")
    for path in templates.static.rglob("*"):
        if path.suffix in {".css", ".js"} and "swagger" not in path.name and "api-docs" not in path.name:
            assert not foreign.search(path.read_text(encoding="utf-8")), path.name


def test_a_missing_build_says_what_to_do(tmp_path: Path) -> None:
    """Without assets the start ends with the command that makes them."""
    with pytest.raises(SettingsError) as caught:
        Templates(static=tmp_path)
    assert "make assets" in caught.value.required_action


def test_an_unknown_entry_says_what_to_do(templates: Templates) -> None:
    """A page without its entry is an error with an action, not an unstyled page."""
    with pytest.raises(SettingsError) as caught:
        templates.scripts("src/pages/nothing.ts")
    assert "nothing.ts" in caught.value.message


def test_styles_of_imports_come_first(tmp_path: Path) -> None:
    """The page's own rules win over those of the chunks it imports, and a cycle of imports ends."""
    manifest = {
        "page": {"file": "p.js", "css": ["p.css"], "imports": ["frame"]},
        "frame": {"file": "f.js", "css": ["f.css"], "imports": ["page"]},
    }
    templates = built(tmp_path, manifest, "")
    assert templates.styles("page") == ["/static/f.css", "/static/p.css"]
    assert templates.preloads("page") == ["/static/f.js"]


def test_styles_come_after_those_of_every_chunk_that_theirs_imports(tmp_path: Path) -> None:
    """Whatever the order in which a page names its chunks: the frame's rules are the first of all."""
    manifest = {
        "page": {"file": "p.js", "css": ["p.css"], "imports": ["frame", "words"]},
        "words": {"file": "w.js", "css": ["w.css"], "imports": ["frame"]},
        "frame": {"file": "f.js", "css": ["f.css"]},
    }
    assert built(tmp_path, manifest, "").styles("page") == ["/static/f.css", "/static/w.css", "/static/p.css"]


def test_an_undefined_name_is_an_error(tmp_path: Path) -> None:
    """A template that asks for something it was not given fails instead of printing nothing."""
    with pytest.raises(UndefinedError):
        built(tmp_path, {}, "{{ missing }}").render(request(), "page.html", {})


def test_text_is_escaped(tmp_path: Path) -> None:
    """Markup in a value reaches the page as text."""
    page = built(tmp_path, {}, "{{ name }}").render(request(), "page.html", {"name": "<script>"})
    assert page.body == b"&lt;script&gt;"


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "en"),
        ({"accept_language": "de-CH,de;q=0.9,en;q=0.8"}, "de"),
        ({"accept_language": "fr,en;q=0.5,de;q=0.9"}, "de"),
        ({"accept_language": "fr"}, "en"),
        ({"accept_language": "de", "cookie": "tidewire_language=en"}, "en"),
        ({"accept_language": "de", "cookie": "tidewire_language=../../x"}, "de"),
    ],
)
def test_the_language_is_the_readers(headers: dict[str, str], language: str) -> None:
    """The cookie decides, then the browser's list, then English."""
    assert Catalogues().choose(request(**headers)).language == language


@given(st.text(max_size=200))
def test_any_accept_language_is_survived(header: str) -> None:
    """Nonsense in the header costs nothing but the preference."""
    assert all(language.isalpha() for language in accepted(header))


def test_languages_without_weight_are_left_out() -> None:
    """A weight of 0 means no, one that is no number counts as no."""
    assert accepted("de;q=0, fr;q=x, en;q=0.1, it;q=nan") == ["en"]


def test_places_are_filled_and_missing_ones_fail() -> None:
    """A text is never shown with an empty place."""
    catalogue = Catalogue("en", {"hello": "Hello, {name}"})
    assert catalogue.text("hello", name="ada") == "Hello, ada"
    with pytest.raises(KeyError):
        catalogue.text("hello")
    with pytest.raises(KeyError):
        catalogue.text("no_such_key")


def test_catalogues_have_the_same_keys_and_places() -> None:
    """No language lacks a text or a place of another."""
    found = Catalogues()
    places = re.compile(r"\{\w+\}")
    by_language = {
        language: {
            key: sorted(places.findall(text))
            for key, text in found.choose(request(cookie=f"tidewire_language={language}")).words.items()
        }
        for language in found.languages
    }
    assert sorted(by_language) == ["de", "en"]
    assert by_language["de"] == by_language["en"]


def test_a_folder_without_english_is_refused(tmp_path: Path) -> None:
    """A package without its words does not start."""
    with pytest.raises(SettingsError):
        Catalogues(tmp_path)
