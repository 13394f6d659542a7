"""Handshakes: who comes in, as what, and what everybody else is answered."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ws_client import upgrade_request
from tidewire.accounts.credential import Credential
from tidewire.web.handshake import MAX_HEAD_BYTES, Acceptance, Policy, Refusal, judge, path_of, response

OURS = "https://desk.example"
POLICY = Policy(origin_allowed=lambda origin: origin == OURS, cookie_name="sid", trusted_proxies=("10.0.0.0/8",))


def verdict(path: str = "/ws", ip: str = "192.0.2.1", **headers: str) -> Acceptance | Refusal:
    """Judge one request."""
    return judge(upgrade_request(path, **headers), POLICY, ip)


def accepted(path: str = "/ws", ip: str = "192.0.2.1", **headers: str) -> Acceptance:
    """Judge one that must pass."""
    found = verdict(path, ip, **headers)
    assert isinstance(found, Acceptance), found
    return found


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "https://desk.example.evil", "HTTPS://desk.example", "https://desk.example:444",
        "http://desk.example", "https://me@desk.example", "https://[::1]", "https://desk.example/",
    ],
)  # fmt: skip
def test_foreign_origins_are_refused_before_the_upgrade(origin: str) -> None:
    """Exact text or 403, whatever the credentials."""
    for headers in ({}, {"Authorization": "Bearer t"}, {"Cookie": "sid=s"}):
        found = verdict(Origin=origin, **headers)
        assert isinstance(found, Refusal)
        assert found.status == 403
        status, _, rest = response(found).partition(b"\r\n")
        assert status == b"HTTP/1.1 403 Forbidden"
        assert json.loads(rest.partition(b"\r\n\r\n")[2])["status"] == 403


def test_a_cookie_counts_only_with_our_origin() -> None:
    """A cookie is sent by browsers for anybody's page; a token is not."""
    found = verdict(Cookie="sid=s")
    assert isinstance(found, Refusal)
    assert found.status == 403
    assert accepted(Cookie="a=b; sid=s", Origin=OURS).credential == Credential("cookie", "s")
    assert accepted(Authorization="Bearer t").credential == Credential("bearer", "t")
    assert accepted("/ws?x=1&token=q").credential == Credential("query", "q")
    assert accepted(Cookie="sid=s", Authorization="bearer t", Origin=OURS).credential == Credential("bearer", "t")
    assert accepted(Cookie="sid=s; sid=other", Origin=OURS).credential is None
    assert accepted().credential is None
    assert "secret" not in repr(accepted(Authorization="Bearer secret"))


@pytest.mark.parametrize(
    ("offered", "chosen", "supported"),
    [
        ("", None, True),
        ("tidewire.v1", "tidewire.v1", True),
        ("tidewire.v1, tidewire.v1.batch", "tidewire.v1.batch", True),
        ("other, tidewire.v1", "tidewire.v1", True),
        ("other", None, False),
        ("\xff\xfe", None, False),
    ],
)
def test_the_subprotocol_is_chosen_by_the_server(offered: str, chosen: str | None, supported: bool) -> None:
    """Batch before plain; none offered is plain; only unknown ones are not supported."""
    found = accepted(Sec_WebSocket_Protocol=offered)
    assert (found.subprotocol, found.supported) == (chosen, supported)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upgrade": "h2c"}, 426), ({"Connection": "close"}, 426), ({"Sec_WebSocket_Version": "12"}, 426),
        ({"Sec_WebSocket_Key": "short"}, 400), ({"Sec_WebSocket_Key": "!!!"}, 400), ({"X": "y" * MAX_HEAD_BYTES}, 431),
    ],
)  # fmt: skip
def test_malformed_handshakes_are_answered_by_name(headers: dict[str, str], status: int) -> None:
    """The answer says what is spoken here."""
    found = verdict(**headers)
    assert isinstance(found, Refusal)
    assert found.status == status


def test_what_the_websocket_library_gets_is_checked() -> None:
    """Only the key is taken over, and it is 16 bytes in base64; no header of the client reaches the library."""
    key = accepted(X_Evil="1", Sec_WebSocket_Key="AAECAwQFBgcICQoLDA0ODw==").key
    assert base64.b64decode(key, validate=True) == bytes(range(16))
    assert isinstance(verdict(Sec_WebSocket_Key="AAECAwQFBgcICQoLDA0ODw==\nX: 1"), Refusal)


def test_only_our_proxies_are_believed_about_addresses() -> None:
    """The nearest address that is not a proxy of ours."""
    assert accepted(X_Forwarded_For="1.1.1.1").ip == "192.0.2.1"
    assert accepted(ip="10.0.0.1", X_Forwarded_For="6.6.6.6, 1.1.1.1, 10.2.2.2").ip == "1.1.1.1"
    assert accepted(ip="10.0.0.1", X_Forwarded_For="junk").ip == "10.0.0.1"
    assert accepted(ip="10.0.0.1").ip == "10.0.0.1"


def test_the_admin_path_is_marked() -> None:
    """The hub decides about the person, the handshake about the path."""
    assert accepted("/ws/admin-dashboard").admin_only
    assert not accepted("/ws").admin_only
    assert path_of(b"GET /ws?token=x HTTP/1.1") == "/ws"
    assert path_of(b"") == ""


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(data: bytes) -> None:
    """No head makes the judge raise."""
    for head in (data, b"GET /ws HTTP/1.1\r\n" + data, upgrade_request()[:-2] + data + b"\r\n\r\n"):
        assert isinstance(judge(head, POLICY, "192.0.2.1"), Acceptance | Refusal)
