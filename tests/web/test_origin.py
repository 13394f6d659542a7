"""Which origins and hosts are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.errors import SettingsError
from tidewire.web.origin import host_name, host_names, origin_allowed, own_origins, parse_origins, websocket_sources

OURS = frozenset({"https://app.example.com", "http://127.0.0.1:8000", "http://[::1]:8000"})
# What reliability.md 3.1 item 2 lists, and what else has fooled such checks.
FOREIGN = [
    None, "", "null", "NULL", "*", "https://evil.example", "https://app.example.com.evil.example",
    "https://evil-app.example.com", "https://xapp.example.com", "https://app.example.comx", "https://example.com",
    "https://sub.app.example.com", "http://app.example.com", "https://app.example.com:443", "https://app.example.com:8443",
    "https://APP.example.com", "HTTPS://app.example.com", "https://app.example.com/", "https://app.example.com/x",
    "https://app.example.com.", "https://app.example.com@evil.example", "https://user@app.example.com",
    "https://user:pw@app.example.com", "https://evil.example#https://app.example.com", "https://app.example.com?",
    "https://evil.example/https://app.example.com", " https://app.example.com", "https://app.example.com ",
    "https://app.example.com,https://evil.example", "https://app.example.com https://evil.example",
    "https://app.example.com\\@evil.example", "https://app.example.com%00.evil.example", "https://app\u3002example.com",
    "http://127.0.0.1", "http://127.0.0.1:80", "http://127.0.0.1:80000", "http://127.0.0.2:8000", "http://127.1:8000",
    "http://2130706433:8000", "http://localhost:8000", "http://[::1]", "http://[::1]:8001", "http://::1:8000",
    "http://[0:0:0:0:0:0:0:1]:8000", "http://[::1%25lo]:8000", "http://[::ffff:127.0.0.1]:8000", "file://",
    "chrome-extension://abc", "ws://127.0.0.1:8000", "//app.example.com", "app.example.com", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origins(origin: str | None) -> None:
    """Nothing but the exact text of one of ours passes."""
    assert not origin_allowed(origin, OURS)


@pytest.mark.parametrize("origin", sorted(OURS))
def test_our_origins(origin: str) -> None:
    """Ours pass."""
    assert origin_allowed(origin, OURS)


@given(st.text(max_size=40))
def test_no_other_text_is_ours(text: str) -> None:
    """Whatever is appended or prepended makes an origin foreign."""
    for ours in OURS:
        assert origin_allowed(ours + text, OURS) == (text == "")
        assert origin_allowed(text + ours, OURS) == (text == "")


@pytest.mark.parametrize(
    ("host", "port", "tls", "expected"),
    [
        ("127.0.0.1", 8000, False, {"http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"}),
        ("0.0.0.0", 80, False, {"http://127.0.0.1", "http://localhost", "http://[::1]"}),  # noqa: S104
        ("::", 8443, True, {"https://127.0.0.1:8443", "https://localhost:8443", "https://[::1]:8443"}),
        ("localhost", 443, True, {"https://127.0.0.1", "https://localhost", "https://[::1]"}),
        ("App.Example.com", 443, True, {"https://app.example.com"}),
        ("192.168.1.5", 8000, False, {"http://192.168.1.5:8000"}),
        ("fe80::1", 8000, False, {"http://[fe80::1]:8000"}),
    ],
)
def test_own_origins(host: str, port: int, tls: bool, expected: set[str]) -> None:
    """A server knows itself by what it listens on."""
    assert own_origins(host, port, tls=tls) == expected


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"), ("HTTPS://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"), ("http://h:80/", "http://h"),
        ("http://h:8000", "http://h:8000"), (" http://[0:0::1]:8000 ", "http://[::1]:8000"),
    ],
)  # fmt: skip
def test_configured_origins_are_written_as_browsers_do(text: str, origin: str) -> None:
    """Case, default port and a trailing slash are put right at the start, so that the comparison can be exact."""
    assert parse_origins([text, "  "]) == {origin}
    assert parse_origins([origin]) == {origin}


@pytest.mark.parametrize(
    "text",
    [
        "*", "null", "app.example.com", "https://", "https://*.example.com", "https://app.example.com/path", "ftp://h",
        "https://user@h", "https://user:hunter22@h", "https://h:99999", "https://h:x", "https://h?", "https://h#",
        "https://[::1", "https://[x]", "https://a b", "https://h,https://i", "https://-h", "http://h//", "javascript:1",
    ],
)  # fmt: skip
def test_what_is_no_origin_ends_the_start(text: str) -> None:
    """Patterns, paths and credentials are refused by name; a password is not repeated."""
    if text == "http://h//":
        assert parse_origins([text]) == {"http://h"}
        return
    with pytest.raises(SettingsError) as refused:
        parse_origins(["https://fine.example", text])
    assert "hunter22" not in refused.value.message


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8000", "127.0.0.1"), ("LOCALHOST", "localhost"), ("[::1]:8000", "[::1]"), ("h:1", "h"), ("", None),
        ("h:", None), ("h:x", None), ("h:123456", None), ("a@h", None), ("h/x", None), ("h h", None), ("::1", None),
        ("h\\x", None), ("h#x", None), ("h?x", None), ("é", None), ("h\n", None),
    ],
)  # fmt: skip
def test_host_headers(header: str, name: str | None) -> None:
    """Only a name and a port are a Host header."""
    assert host_name(header) == name


def test_names_and_sockets_of_origins() -> None:
    """Hosts lose scheme and port; a policy gets the socket forms it can express."""
    assert host_names(OURS) == {"app.example.com", "127.0.0.1", "[::1]"}
    assert websocket_sources(OURS) == ["ws://127.0.0.1:8000", "wss://app.example.com"]
