"""A login leads only to a path of this site."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tidewire.web.redirect import local_path, login_redirect

LEADS_AWAY = [
    None, "", "https://evil.example", "http:evil.example", "//evil.example", "///evil.example", "////evil.example",
    "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\t/evil.example", "/\n/evil.example",
    "/\r/evil.example", "\t//evil.example", " //evil.example", "/ /evil.example", "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x", "evil.example", "evil.example/path", "@evil.example", ":80", "?x", "#x", "./x", "../x",
    "/x\r\nSet-Cookie: a=b", "/x\x00", "/\u2028/evil.example", "/\uff0fevil.example", "/é", "/login", "/login/",
    "/login?next=/x", "/logout", "/logout?x", "/" + "x" * 3000, "/\x0b/evil.example", "/\x7f/evil", "/x\\y", "https:/x",
]  # fmt: skip


@pytest.mark.parametrize("text", LEADS_AWAY)
def test_what_leads_away(text: str | None) -> None:
    """Other sites in every spelling, header injection, our own forms, and over-long ones are refused."""
    assert local_path(text) is None


@pytest.mark.parametrize(
    "text",
    ["/", "/admin/websockets", "/a?b=c&d=e#f", "/a//b", "/a?u=//evil.example", "/%2F%2Fevil", "/@evil", "/loginx"],
)
def test_what_stays(text: str) -> None:
    """Paths of ours pass as they are."""
    assert local_path(text) == text


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=12) | st.from_regex(r"[/\\\t\n:@.a]{1,10}"))
def test_whatever_passes_stays(text: str) -> None:
    """Resolved as a browser does it, without tabs and newlines and with slashes for backslashes, it is still here."""
    passed = local_path(text)
    if passed is not None:
        seen = passed.replace("\t", "").replace("\n", "").replace("\r", "").replace("\\", "/")
        assert urlsplit(urljoin("https://here.example/page", seen)).netloc == "here.example"


@pytest.mark.parametrize(
    ("method", "path", "query", "location"),
    [
        ("GET", "/page", b"a=b&c=%2F", "/login?next=/page%3Fa%3Db%26c%3D%252F"), ("GET", "/", b"", "/login"),
        ("HEAD", "/page", b"", "/login?next=/page"), ("POST", "/page", b"", "/login"), ("GET", "//evil", b"", "/login"),
        ("GET", "/logout", b"", "/login"), ("GET", "/é", b"", "/login?next=/%25C3%25A9"),
        ("GET", "/x", b"\xff", "/login"),
    ],
)  # fmt: skip
def test_the_way_to_login_leads_back(method: str, path: str, query: bytes, location: str) -> None:
    """A page that can be asked for again is named; a form that was sent is not."""
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": []}
    assert login_redirect(Request(scope)).headers["location"] == location
